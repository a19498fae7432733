"""What the emulator is told in place of what AWS is told, where it reads a template otherwise."""

from typing import Any

from deployment.logical_names import API
from local.emulator import answers


def is_emulator(endpoint_url: str | None) -> bool:
    """Say whether MiniStack listens at this address."""
    return endpoint_url is not None and answers(f"{endpoint_url.rstrip('/')}/_ministack/health")


def for_emulator(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template, changed so that it means to the emulator what it meant to AWS."""
    made: dict[str, Any] = {}
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Api":
            # It reads them here only, AWS in the definition as well.
            types = properties["DefinitionBody"].get("x-amazon-apigateway-binary-media-types", [])
            properties["BinaryMediaTypes"] = types
            made |= _gateway_responses(properties["DefinitionBody"])
        for event in properties.get("Events", {}).values():
            scaling = event["Properties"].get("ScalingConfig", {})
            if "Ref" in scaling.get("MaximumConcurrency", {}):
                # It would keep the parameter's text, with which it cannot count.
                scaling["MaximumConcurrency"] = template["Parameters"][scaling["MaximumConcurrency"]["Ref"]]["Default"]
        for policy in properties.get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []:
            for statement in policy["PolicyDocument"]["Statement"]:
                mail = statement.get("Fn::If", [None, {}])[1]
                if "ses:SendEmail" in mail.get("Action", []):
                    # It knows neither the identity nor the sender of a mail: what AWS is told is tested in the template.
                    mail.pop("Condition", None)
                    mail["Resource"] = "*"
    # It has no metric math, and is spoken to without TLS.
    left = {
        name
        for name, each in template["Resources"].items()
        if "Metrics" in each.get("Properties", {}) or each["Type"] == "AWS::S3::BucketPolicy"
    }
    template["Resources"] = {name: each for name, each in template["Resources"].items() if name not in left} | made
    return template


def _gateway_responses(definition: dict[str, Any]) -> dict[str, Any]:
    """Return what API Gateway answers by itself as resources, for the emulator does not read it in the description."""
    made = {}
    for kind, response in definition.get("x-amazon-apigateway-gateway-responses", {}).items():
        properties: dict[str, Any] = {
            "RestApiId": {"Ref": API},
            "ResponseType": kind,
            "ResponseTemplates": response["responseTemplates"],
            "ResponseParameters": response["responseParameters"],
        }
        if "statusCode" in response:
            properties["StatusCode"] = response["statusCode"]
        logical = f"Gateway{kind.title().replace('_', '')}"
        made[logical] = {"Type": "AWS::ApiGateway::GatewayResponse", "Properties": properties}
    return made
