"""What is asked of whoever deploys: the parameters of the deployment template, and the settings they become."""

from typing import Any

from chalicelib.storage import schema
from deployment.logical_names import API, NOTHING

PORTAL_FUNCTIONS = ("api", "process_alerts")
"""Those that speak to the portal, and need its token."""

_PLACE = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:%s"
_ADDRESS = "([^@\\s<>]+@[^@\\s<>]+)?"
# those of AWS's own are refused
_SSM_NAME = "((?!/(?i:aws|ssm))(/[A-Za-z0-9_.-]+)+)?"
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_OWN_TOKEN = "/${AWS::StackName}/portal-token"  # noqa: S105 - a name
_SWITCH = {"Type": "String", "AllowedValues": ["true", "false"]}
# those that CloudWatch takes
_RETENTIONS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]

PARAMETERS: dict[str, dict[str, Any]] = {
    "AsimovApiKey": {
        "Type": "String",
        "NoEcho": True,
        "Default": "",
        "AllowedPattern": "(.{20,})?",
        "MaxLength": 200,
        "Description": "token:user of an API key, of at least 20 characters; empty where ApiKeysParameter is given",
    },
    "ApiKeysParameter": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": _SSM_NAME,
        "MaxLength": 200,
        "Description": "SSM parameter (SecureString) that holds the API keys as YAML; empty for AsimovApiKey alone",
    },
    "PortalUrl": {
        "Type": "String",
        "Default": "https://observe.lco.global",
        "AllowedPattern": "https?://.+",
        "MaxLength": 200,
        "Description": "Address of the telescope portal",
    },
    "ArchiveUrl": {
        "Type": "String",
        "Default": "https://archive-api.lco.global",
        "AllowedPattern": "https?://.+",
        "MaxLength": 200,
        "Description": "Address of the archive of its frames",
    },
    "PortalTokenParameter": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": _SSM_NAME,
        "MaxLength": 200,
        "Description": "SSM parameter (SecureString) that holds the token of portal and archive; empty for "
        "/<stack>/portal-token",
    },
    "PortalTokenSecret": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": "[A-Za-z0-9/_+=.@-]*",
        "MaxLength": 200,
        "Description": "Name of a secret of Secrets Manager that holds the token instead; empty for the parameter",
    },
    "ThrottleObserve": {
        "Type": "String",
        "Default": "6/minute",
        "AllowedPattern": "([1-9][0-9]{0,2}|1000)/(second|minute|hour|day)",
        "MaxLength": 20,
        "Description": "How often one user, or one address, may ask for observations; at most 1000 times",
    },
    "AlertRate": {
        "Type": "String",
        "Default": "rate(5 minutes)",
        "AllowedPattern": "rate[(](1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))[)]|cron[(].+[)]",
        "ConstraintDescription": "rate(1 minute), rate(5 minutes), or cron(...) as EventBridge has it",
        "Description": "How often observations with an open alert are looked after",
    },
    "FromEmailAddress": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": _ADDRESS,
        "MaxLength": 254,
        "Description": "Sender of e-mail, verified with SES in this region; empty for no e-mail",
    },
    "PublicUrl": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": "(https?://.+[^/])?",
        "ConstraintDescription": "an address with http:// or https://, without a slash at the end",
        "MaxLength": 253,
        "Description": "Address under which people reach this deployment; empty for the stage's own",
    },
    "CorsOrigins": {
        "Type": "CommaDelimitedList",
        "Default": "",
        "AllowedPattern": "([*]|https?://[^/\\s]+)?",
        "Description": "Origins whose pages may call the API and upload files: * or a list; empty for none",
    },
    "DomainName": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": f"({_LABEL}([.]{_LABEL})+)?",
        "MaxLength": 253,
        "Description": "Host name of your own for the API; empty for the stage's own address",
    },
    "CertificateArn": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": "(arn:[a-z-]+:acm:.+)?",
        "Description": "Certificate of that host name, from ACM in this region",
    },
    "HostedZoneId": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": "[A-Z0-9]*",
        "Description": "Zone of Route 53 that gets a record for that host name; empty where its DNS is elsewhere",
    },
    "RequestsPerSecond": {
        "Type": "Number",
        "Default": 100,
        "MinValue": 1,
        "MaxValue": 10_000,
        "Description": "Requests that the API takes a second from all callers together; others are answered 429",
    },
    "RequestBurst": {
        "Type": "Number",
        "Default": 200,
        "MinValue": 1,
        "MaxValue": 5_000,
        "Description": "Requests that it takes at once",
    },
    "JobConcurrency": {
        "Type": "Number",
        "Default": 10,
        "MinValue": 2,
        "MaxValue": 300,
        "Description": "Jobs of each of the three queues at once; what the account may run beyond all three is the API's",
    },
    "AccessLogs": {
        **_SWITCH,
        "Default": "false",
        "Description": "Whether API Gateway logs each request; its account needs a role for it (docs/operations.md, Logs)",
    },
    "DetailedMetrics": {
        **_SWITCH,
        "Default": "false",
        "Description": "Whether API Gateway measures each route by itself, which is billed",
    },
    "LogRetentionDays": {
        "Type": "Number",
        "Default": 90,
        "AllowedValues": _RETENTIONS,
        "Description": "Days for which the logs of the functions, and of API Gateway, are kept",
    },
    "Tracing": {
        "Type": "String",
        "Default": "Active",
        "AllowedValues": ["Active", "PassThrough"],
        "Description": "Active: API Gateway and the functions send traces to X-Ray; PassThrough: the functions of traced "
        "requests only",
    },
    "AlarmEmail": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": _ADDRESS,
        "MaxLength": 254,
        "Description": "Address that gets the alarms, once it has confirmed that; empty for none",
    },
    "ProtectTables": {
        **_SWITCH,
        "Default": "true",
        "Description": "Whether DynamoDB refuses to delete the tables; whatever it says they outlive the stack",
    },
}


def _is_given(parameter: str) -> dict[str, Any]:
    return {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}


def _is_on(parameter: str) -> dict[str, Any]:
    return {"Fn::Equals": [{"Ref": parameter}, "true"]}


CONDITIONS: dict[str, dict[str, Any]] = {
    **{
        f"Has{parameter}": _is_given(parameter)
        for parameter in (
            "AsimovApiKey",
            "ApiKeysParameter",
            "PortalTokenParameter",
            "PortalTokenSecret",
            "FromEmailAddress",
            "PublicUrl",
            "DomainName",
            "AlarmEmail",
        )
    },
    "HasCorsOrigins": {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": "CorsOrigins"}]}, ""]}]},
    "HasHostedZone": {"Fn::And": [_is_given("DomainName"), _is_given("HostedZoneId")]},
    "HasAccessLogs": _is_on("AccessLogs"),
    "HasDetailedMetrics": _is_on("DetailedMetrics"),
    "HasProtectedTables": _is_on("ProtectTables"),
    "IsTraced": {"Fn::Equals": [{"Ref": "Tracing"}, "Active"]},
}
RULES: dict[str, Any] = {
    "ApiKeys": {
        "Assertions": [
            {
                "Assert": {"Fn::Or": [_is_given("AsimovApiKey"), _is_given("ApiKeysParameter")]},
                "AssertDescription": "AsimovApiKey or ApiKeysParameter must be given: without a key nobody could write",
            }
        ]
    },
    "Domain": {
        "RuleCondition": _is_given("DomainName"),
        "Assertions": [
            {"Assert": _is_given("CertificateArn"), "AssertDescription": "DomainName needs CertificateArn"},
        ],
    },
    "HostedZone": {
        "RuleCondition": _is_given("HostedZoneId"),
        "Assertions": [
            {"Assert": _is_given("DomainName"), "AssertDescription": "HostedZoneId is for a DomainName"},
        ],
    },
}
"""What CloudFormation refuses before it changes anything."""

OWN_ADDRESS = f"https://${{{API}}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/${{{API}.Stage}}"
"""The address of the stage, for `Fn::Sub`."""


def settings_of(function: str) -> dict[str, Any]:
    """Return the environment variables that a function gets from the parameters.

    Only the schedule's function has links to write. The API's could not be told its own address by default: its API is
    made from it.
    """
    variables: dict[str, Any] = {"POWERTOOLS_SERVICE_NAME": {"Ref": "AWS::StackName"}}
    if function == "api":
        variables |= {
            "ASIMOV_API_KEY": _either("AsimovApiKey", {"Ref": "AsimovApiKey"}, NOTHING),
            "ASIMOV_API_KEYS_PARAMETER": _either("ApiKeysParameter", {"Ref": "ApiKeysParameter"}, NOTHING),
            "CORS_ORIGINS": _either("CorsOrigins", {"Fn::Join": [",", {"Ref": "CorsOrigins"}]}, NOTHING),
            "THROTTLE_OBSERVE": {"Ref": "ThrottleObserve"},
        }
    if function in PORTAL_FUNCTIONS:
        token_parameter = _either("PortalTokenParameter", {"Ref": "PortalTokenParameter"}, {"Fn::Sub": _OWN_TOKEN})
        variables |= {
            "PORTAL_URL": {"Ref": "PortalUrl"},
            "ARCHIVE_URL": {"Ref": "ArchiveUrl"},
            "PORTAL_TOKEN_PARAMETER": _either("PortalTokenSecret", NOTHING, token_parameter),
            "PORTAL_TOKEN_SECRET": _either("PortalTokenSecret", {"Ref": "PortalTokenSecret"}, NOTHING),
        }
    if function == "process_alerts":
        variables |= {
            "FROM_EMAIL_ADDRESS": _either("FromEmailAddress", {"Ref": "FromEmailAddress"}, NOTHING),
            "PUBLIC_URL": public_url(),
        }
    return variables


def public_url() -> dict[str, Any]:
    """Return the address under which people reach the deployment, without a slash at the end."""
    own_name = _either("DomainName", {"Fn::Sub": "https://${DomainName}"}, {"Fn::Sub": OWN_ADDRESS})
    return _either("PublicUrl", {"Ref": "PublicUrl"}, own_name)


def bucket_cors() -> dict[str, Any]:
    """Return the rules of the bucket for pages of the origins; S3 has no empty ones."""
    return _either("CorsOrigins", {"CorsRules": schema.cors_rules({"Ref": "CorsOrigins"})}, NOTHING)


def if_traced(then: Any, otherwise: Any) -> dict[str, Any]:
    """Return one value for a deployment that sends traces, and another for one that does not."""
    return {"Fn::If": ["IsTraced", then, otherwise]}


def keys_statement() -> dict[str, Any]:
    """Return the statement that lets a function read the API keys, if they are in a parameter of SSM."""
    parameter = {"Fn::Sub": _PLACE % ("ssm", "parameter${ApiKeysParameter}")}
    statement = {"Effect": "Allow", "Action": ["ssm:GetParameter"], "Resource": [parameter]}
    return _either("ApiKeysParameter", statement, NOTHING)


def token_statement() -> dict[str, Any]:
    """Return the statement that lets a function read the portal's token, from where the parameters say it is.

    The keys of AWS that encrypt it by default may be used through these services by whoever may call them; a key of
    one's own has to name the functions' roles in its policy.
    """
    # Secrets Manager adds a hyphen and six characters to the name
    secret = {"Fn::Sub": _PLACE % ("secretsmanager", "secret:${PortalTokenSecret}-??????")}
    parameter = _either(
        "PortalTokenParameter",
        {"Fn::Sub": _PLACE % ("ssm", "parameter${PortalTokenParameter}")},
        {"Fn::Sub": _PLACE % ("ssm", f"parameter{_OWN_TOKEN}")},
    )
    return _either(
        "PortalTokenSecret",
        {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": [secret]},
        {"Effect": "Allow", "Action": ["ssm:GetParameter"], "Resource": [parameter]},
    )


def mail_statement() -> dict[str, Any]:
    """Return the statement that lets a function send e-mail from the one address that the parameters name.

    The identity may be the address or its domain, in SES's sandbox the recipient's is looked at as well, and an identity
    may have a configuration set: the sender is what narrows it down.
    """
    statement = {
        "Effect": "Allow",
        "Action": ["ses:SendEmail"],
        "Resource": [{"Fn::Sub": _PLACE % ("ses", f"{kind}/*")} for kind in ("identity", "configuration-set")],
        "Condition": {"StringEquals": {"ses:FromAddress": {"Ref": "FromEmailAddress"}}},
    }
    return _either("FromEmailAddress", statement, NOTHING)


def _either(parameter: str, if_given: Any, if_empty: Any) -> dict[str, Any]:
    return {"Fn::If": [f"Has{parameter}", if_given, if_empty]}
