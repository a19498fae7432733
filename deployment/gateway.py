"""The API of the deployment template: what API Gateway answers by itself, its stage, its log, a host name of one's own."""

import json
from typing import Any

from deployment import parameters
from deployment.logical_names import API, NOTHING

ACCESS_LOG = "AccessLog"

_NOT_FOUND = ("Resource not found", "Not found.")
_FORBIDDEN = ("Forbidden", "Forbidden.")
_BUSY = ("Too many requests", "Request was throttled.")
_FAULT = ("Internal server error", "Internal server error.")
# What a request without a route gets: each route takes every method, and none asks API Gateway to look at who is calling,
# so these three can mean nothing else. Somebody's `Authorization` makes it the second or the third.
_ANSWERS: dict[str, tuple[int | None, tuple[str, str]]] = {
    "MISSING_AUTHENTICATION_TOKEN": (404, _NOT_FOUND),
    "INVALID_SIGNATURE": (404, _NOT_FOUND),
    "EXPIRED_TOKEN": (404, _NOT_FOUND),
    "RESOURCE_NOT_FOUND": (404, _NOT_FOUND),
    "UNAUTHORIZED": (401, ("Unauthorized", "Unauthorized.")),
    "ACCESS_DENIED": (403, _FORBIDDEN),
    "WAF_FILTERED": (403, _FORBIDDEN),
    "REQUEST_TOO_LARGE": (413, ("Request body too large", "Request body too large.")),
    "UNSUPPORTED_MEDIA_TYPE": (415, ("Unsupported media type", "Unsupported media type in request.")),
    "THROTTLED": (429, _BUSY),
    "QUOTA_EXCEEDED": (429, _BUSY),
    "INTEGRATION_FAILURE": (504, _FAULT),
    "INTEGRATION_TIMEOUT": (504, ("The request took too long", "The request took too long.")),
    "DEFAULT_4XX": (None, ("Bad request", "Bad request.")),
    "DEFAULT_5XX": (None, _FAULT),
}
_LOGGED = {
    "request_id": "requestId",
    "time": "requestTime",
    "method": "httpMethod",
    "route": "resourcePath",
    "status": "status",
    "answered_by_gateway": "error.responseType",
    "bytes": "responseLength",
    "milliseconds": "responseLatency",
    "function_milliseconds": "integrationLatency",
    "address": "identity.sourceIp",
}
"""Neither headers nor query nor path, in which names, cursors and keys may be: the route is the path of the description."""


def api() -> dict[str, Any]:
    """Return what is added to the API that Chalice makes."""
    settings = {
        "ResourcePath": "/*",
        "HttpMethod": "*",
        "ThrottlingRateLimit": {"Ref": "RequestsPerSecond"},
        "ThrottlingBurstLimit": {"Ref": "RequestBurst"},
        "MetricsEnabled": {"Fn::If": ["HasDetailedMetrics", True, False]},
        # it would log headers and bodies
        "DataTraceEnabled": False,
    }
    log = {"DestinationArn": {"Fn::Sub": _LOG_ARN}, "Format": _log_format()}
    properties: dict[str, Any] = {
        # The name is a dimension of the metrics of API Gateway: stacks of an account must not share it.
        "Name": {"Ref": "AWS::StackName"},
        # SAM adds a stage named `Stage` to an API that does not say this.
        "OpenApiVersion": "2.0",
        "TracingEnabled": parameters.if_traced(True, False),
        "MethodSettings": [settings],
        "AccessLogSetting": {"Fn::If": ["HasAccessLogs", log, NOTHING]},
        "DefinitionBody": {
            "info": {"title": {"Ref": "AWS::StackName"}},
            # In the description, because resources of their own would have no effect before the next deployment of the API.
            "x-amazon-apigateway-gateway-responses": _gateway_responses(),
        },
    }
    return {"Properties": properties}


def resources() -> dict[str, Any]:
    """Return the log and the host name, each made only where it is asked for."""
    log = {
        "LogGroupName": {"Fn::Sub": _LOG_NAME},
        "RetentionInDays": {"Ref": "LogRetentionDays"},
    }
    name = {
        "DomainName": {"Ref": "DomainName"},
        "RegionalCertificateArn": {"Ref": "CertificateArn"},
        "EndpointConfiguration": {"Types": ["REGIONAL"]},
        "SecurityPolicy": "TLS_1_2",
    }
    mapping = {"DomainName": {"Ref": "Domain"}, "RestApiId": {"Ref": API}, "Stage": {"Ref": f"{API}.Stage"}}
    target = {
        "DNSName": {"Fn::GetAtt": ["Domain", "RegionalDomainName"]},
        "HostedZoneId": {"Fn::GetAtt": ["Domain", "RegionalHostedZoneId"]},
    }
    record = {
        "Name": {"Ref": "DomainName"},
        "Type": "A",
        "HostedZoneId": {"Ref": "HostedZoneId"},
        "AliasTarget": target,
    }
    return {
        ACCESS_LOG: _if("HasAccessLogs", "AWS::Logs::LogGroup", log),
        "Domain": _if("HasDomainName", "AWS::ApiGateway::DomainName", name),
        "DomainMapping": _if("HasDomainName", "AWS::ApiGateway::BasePathMapping", mapping),
        "DomainRecord": _if("HasHostedZone", "AWS::Route53::RecordSet", record),
    }


_LOG_NAME = "/sidereal/${AWS::StackName}/requests"
# CloudFormation's attribute would end in ":*", and API Gateway wants the group.
_LOG_ARN = f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:${{{ACCESS_LOG}}}"


def _if(condition: str, kind: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"Type": kind, "Condition": condition, "Properties": properties}


def _log_format() -> str:
    return json.dumps({key: f"$context.{value}" for key, value in _LOGGED.items()})


def _gateway_responses() -> dict[str, Any]:
    """Return what API Gateway answers by itself; it cannot tell the two APIs apart, so both families' keys are there."""
    made = {}
    for kind, (status, (error, detail)) in _ANSWERS.items():
        body = {"error": error, "detail": detail}
        # API Gateway does not know which origins are allowed; there is nothing secret in these answers. Nor may they depend
        # on a parameter: SAM deploys the API anew only if the description itself changes.
        headers = {"Access-Control-Allow-Origin": "'*'", "Access-Control-Expose-Headers": "'Retry-After'"}
        if status == 401:
            headers["WWW-Authenticate"] = "'Bearer'"
        if status == 429:
            headers["Retry-After"] = "'1'"
        if "5XX" in kind or status == 504:
            body["request_id"] = "$context.requestId"
        response: dict[str, Any] = {
            "responseTemplates": {"application/json": json.dumps(body)},
            "responseParameters": {f"gatewayresponse.header.{name}": value for name, value in headers.items()},
        }
        if status is not None:
            response["statusCode"] = str(status)
        made[kind] = response
    return made
