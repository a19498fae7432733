"""What is asked of whoever deploys: the parameters of the deployment template, and the settings they become."""

from typing import Any

PORTAL_FUNCTIONS = ("api", "process_alerts")
"""Those that speak to the portal, and need its token."""

# those that CloudWatch takes
_RETENTIONS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]

PARAMETERS: dict[str, dict[str, Any]] = {
    "AsimovApiKey": {
        "Type": "String",
        "NoEcho": True,
        "MinLength": 20,
        "Description": "token:user of the first API key",
    },
    "PortalUrl": {
        "Type": "String",
        "Default": "https://observe.lco.global",
        "AllowedPattern": "https?://.+",
        "Description": "Address of the telescope portal",
    },
    "ArchiveUrl": {
        "Type": "String",
        "Default": "https://archive-api.lco.global",
        "AllowedPattern": "https?://.+",
        "Description": "Address of the archive of its frames",
    },
    "PortalTokenParameter": {
        "Type": "String",
        "Default": "/sidereal/portal-token",
        "AllowedPattern": "(/[A-Za-z0-9_.-]+)+",
        "Description": "SSM parameter (SecureString) that holds the token of portal and archive",
    },
    "PortalTokenSecret": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": "[A-Za-z0-9/_+=.@-]*",
        "Description": "Name of a secret of Secrets Manager that holds the token instead; empty for the parameter",
    },
    "ThrottleObserve": {
        "Type": "String",
        "Default": "6/minute",
        "AllowedPattern": "([1-9][0-9]{0,2}|1000)/(second|minute|hour|day)",
        "Description": "How often one user, or one address, may ask for observations; at most 1000 times",
    },
    "AlertRate": {
        "Type": "String",
        "Default": "rate(5 minutes)",
        "AllowedPattern": "(rate|cron)[(].+[)]",
        "Description": "How often observations with an open alert are looked after",
    },
    "FromEmailAddress": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": "([^@\\s<>]+@[^@\\s<>]+)?",
        "Description": "Sender of e-mail, verified with SES in this region; empty for no e-mail",
    },
    "PublicUrl": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": "(https?://.+)?",
        "Description": "Address under which people reach this deployment; empty for the stage's own",
    },
    "LogRetentionDays": {
        "Type": "Number",
        "Default": 90,
        "AllowedValues": _RETENTIONS,
        "Description": "Days for which the logs of the functions are kept",
    },
}
CONDITIONS = {
    f"Has{parameter}": {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}
    for parameter in ("PortalTokenSecret", "FromEmailAddress", "PublicUrl")
}
NOTHING = {"Ref": "AWS::NoValue"}
"""As a value: the property is left out."""


def settings_of(function: str) -> dict[str, Any]:
    """Return the environment variables that a function gets from the parameters.

    Only the schedule's function has links to write. The API's could not be told its own address by default: its API is
    made from it.
    """
    variables: dict[str, Any] = {}
    if function == "api":
        variables |= {"ASIMOV_API_KEY": {"Ref": "AsimovApiKey"}, "THROTTLE_OBSERVE": {"Ref": "ThrottleObserve"}}
    if function in PORTAL_FUNCTIONS:
        variables |= {
            "PORTAL_URL": {"Ref": "PortalUrl"},
            "ARCHIVE_URL": {"Ref": "ArchiveUrl"},
            "PORTAL_TOKEN_PARAMETER": _either("PortalTokenSecret", NOTHING, {"Ref": "PortalTokenParameter"}),
            "PORTAL_TOKEN_SECRET": _either("PortalTokenSecret", {"Ref": "PortalTokenSecret"}, NOTHING),
        }
    if function == "process_alerts":
        own = {"Fn::Sub": "https://${RestAPI}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${RestAPI.Stage}"}
        variables |= {
            "FROM_EMAIL_ADDRESS": _either("FromEmailAddress", {"Ref": "FromEmailAddress"}, NOTHING),
            "PUBLIC_URL": _either("PublicUrl", {"Ref": "PublicUrl"}, own),
        }
    return variables


def token_statement() -> dict[str, Any]:
    """Return the statement that lets a function read the portal's token, from where the parameters say it is.

    The keys of AWS that encrypt it by default may be used through these services by whoever may call them; a key of
    one's own has to name the functions' roles in its policy.
    """
    place = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:%s"
    # Secrets Manager adds a hyphen and six characters to the name
    secret = {"Fn::Sub": place % ("secretsmanager", "secret:${PortalTokenSecret}-??????")}
    parameter = {"Fn::Sub": place % ("ssm", "parameter${PortalTokenParameter}")}
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
    place = "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:"
    statement = {
        "Effect": "Allow",
        "Action": ["ses:SendEmail"],
        "Resource": [{"Fn::Sub": f"{place}{kind}/*"} for kind in ("identity", "configuration-set")],
        "Condition": {"StringEquals": {"ses:FromAddress": {"Ref": "FromEmailAddress"}}},
    }
    return _either("FromEmailAddress", statement, NOTHING)


def _either(parameter: str, if_given: Any, if_empty: Any) -> dict[str, Any]:
    return {"Fn::If": [f"Has{parameter}", if_given, if_empty]}
