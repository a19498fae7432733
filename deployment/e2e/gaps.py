"""What the emulator cannot show: of each thing it is looked whether it can by now, and whether the template has it."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.storage import schema
from deployment.e2e.asking import E2EError
from deployment.e2e.stack import STACK, Deployment
from deployment.logical_names import API, BUCKET, FUNCTIONS, LAYER_OF, TABLES
from deployment.packages import read_template
from local.home import PROJECT

LAMBDA_MEMORY_MB = range(128, 10_241)
GATEWAY_KINDS = {"MISSING_AUTHENTICATION_TOKEN": "404", "REQUEST_TOO_LARGE": "413", "THROTTLED": "429"}


class Template:
    """The template of a package.

    Parameters
    ----------
    package : Path
        Folder that `make package` has filled.
    """

    def __init__(self, package: Path) -> None:
        self.resources: dict[str, Any] = read_template(package)["Resources"]

    def properties(self, name: str) -> dict[str, Any]:
        """Return the properties of one resource."""
        found: dict[str, Any] = self.resources[name]["Properties"]
        return found

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the properties of all resources of a type, by name."""
        return {name: each["Properties"] for name, each in self.resources.items() if each["Type"] == f"AWS::{kind}"}


@dataclass(frozen=True)
class Gap:
    """One thing that the emulator lacks.

    Parameters
    ----------
    what : str
        The thing.
    instead : str
        What holds in the template.
    holds : callable
        Says whether that is so.
    shown : callable or None
        Says whether the emulator has it by now; None where that cannot be asked.
    """

    what: str
    instead: str
    holds: Callable[[Template], bool]
    shown: Callable[[Deployment], bool] | None = None


def check(deployment: Deployment, package: Path) -> Iterable[str]:
    """Yield a line for each gap, and for those that are none any more.

    Raises
    ------
    E2EError
        If the template lacks something as well.
    """
    template = Template(package)
    missing = [f"{gap.what}: not so: {gap.instead}" for gap in GAPS if not gap.holds(template)]
    if missing:
        raise E2EError("the template is not as it should be:\n" + "\n".join(missing))
    closed = [gap for gap in GAPS if gap.shown is not None and _is_shown(gap.shown, deployment)]
    yield from (f"the emulator shows it: {gap.what}" for gap in closed)
    yield "not proven here, checked in the template instead:"
    yield from (f"  {gap.what}: {gap.instead}" for gap in GAPS if gap not in closed)


def _is_shown(shown: Callable[[Deployment], bool], deployment: Deployment) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return shown(deployment)
    except (BotoCoreError, ClientError):  # it does not know the question either
        return False


def _ttl_attributes() -> dict[str, str]:
    pairs = zip(TABLES.values(), schema.tables(), strict=True)
    return {logical: table.ttl_attribute for logical, table in pairs if table.ttl_attribute}


def _ttl_holds(template: Template) -> bool:
    return all(
        template.properties(table)["TimeToLiveSpecification"] == {"AttributeName": attribute, "Enabled": True}
        for table, attribute in _ttl_attributes().items()
    )


def _ttl_shown(deployment: Deployment) -> bool:
    ask = deployment.client("dynamodb").describe_time_to_live
    return all(
        ask(TableName=deployment.name_of(table))["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
        for table in _ttl_attributes()
    )


def _recovery_holds(template: Template) -> bool:
    wanted = {"PointInTimeRecoveryEnabled": True}
    return all(each["PointInTimeRecoverySpecification"] == wanted for each in template.of("DynamoDB::Table").values())


def _recovery_shown(deployment: Deployment) -> bool:
    ask = deployment.client("dynamodb").describe_continuous_backups
    return all(
        ask(TableName=deployment.name_of(table))["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"][
            "PointInTimeRecoveryStatus"
        ]
        == "ENABLED"
        for table in TABLES.values()
    )


def _encryption_holds(template: Template) -> bool:
    return all(each["SSESpecification"]["SSEEnabled"] for each in template.of("DynamoDB::Table").values())


def _encryption_shown(deployment: Deployment) -> bool:
    ask = deployment.client("dynamodb").describe_table
    tables = [ask(TableName=deployment.name_of(table))["Table"] for table in TABLES.values()]
    return all(each.get("SSEDescription", {}).get("Status") == "ENABLED" for each in tables)


def _expiry_holds(template: Template) -> bool:
    rules = template.properties(BUCKET)["LifecycleConfiguration"]["Rules"]
    expiring = {each["Prefix"] for each in rules if each.get("ExpirationInDays") and each["Status"] == "Enabled"}
    return expiring == {"uploads/", *(f"{folder}/" for folder in schema.KEPT_DAYS)} and any(
        "AbortIncompleteMultipartUpload" in each for each in rules
    )


def _expiry_shown(deployment: Deployment) -> bool:
    bucket = deployment.name_of(BUCKET)
    return bool(deployment.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"])


def _tls_holds(template: Template) -> bool:
    (policy,) = template.of("S3::BucketPolicy").values()
    return any(
        each["Effect"] == "Deny" and each["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for each in policy["PolicyDocument"]["Statement"]
    )


def _memory_holds(template: Template) -> bool:
    functions = template.of("Serverless::Function")
    return set(functions) == set(FUNCTIONS.values()) and all(
        each["MemorySize"] in LAMBDA_MEMORY_MB and 1 <= each["Timeout"] <= schema.JOB_TIMEOUT_S
        for each in functions.values()
    )


def _gateway(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = template.properties(API)["DefinitionBody"]["x-amazon-apigateway-gateway-responses"]
    return found


def _gateway_holds(template: Template) -> bool:
    found = _gateway(template)
    return all(
        found[kind]["statusCode"] == status
        and json.loads(found[kind]["responseTemplates"]["application/json"]).keys() >= {"error", "detail"}
        for kind, status in GATEWAY_KINDS.items()
    )


def _throttling_holds(template: Template) -> bool:
    (settings,) = template.properties(API)["MethodSettings"]
    has_limits = {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= settings.keys()
    return has_limits and "gatewayresponse.header.Retry-After" in str(_gateway(template)["THROTTLED"])


def _math_holds(template: Template) -> bool:
    """Say whether each expression of an alarm has only terms that the alarm names."""
    computed = [each["Metrics"] for each in template.of("CloudWatch::Alarm").values() if "Metrics" in each]
    return bool(computed) and all(
        set(re.findall(r"\b[a-z]\w*\b", str(metric["Expression"]))) <= {each["Id"] for each in metrics}
        for metrics in computed
        for metric in metrics
        if "Expression" in metric
    )


def _alarms_hold(template: Template) -> bool:
    headings = re.findall(r"^## (.+)$", (PROJECT / "docs/operations.md").read_text("utf-8"), re.MULTILINE)
    endings = tuple(f"(docs/operations.md, {heading})." for heading in headings)
    alarms = template.of("CloudWatch::Alarm").values()
    return bool(alarms) and all(each["AlarmActions"] and each["AlarmDescription"].endswith(endings) for each in alarms)


def _alarms_shown(deployment: Deployment) -> bool:
    found = deployment.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{STACK}-given-up")["MetricAlarms"]
    return any(each["StateValue"] == "ALARM" for each in found)


def _domain_holds(template: Template) -> bool:
    parts = ("ApiGateway::DomainName", "ApiGateway::BasePathMapping")
    conditions = {each.get("Condition") for each in template.resources.values() if each["Type"][5:] in parts}
    (domain,) = template.of(parts[0]).values()
    return conditions == {"HasDomainName"} and domain["SecurityPolicy"] == "TLS_1_2"


def _tracing_holds(template: Template) -> bool:
    return all("Tracing" in each for each in template.of("Serverless::Function").values())


def _mail_holds(template: Template) -> bool:
    statements = template.properties("ProcessAlertsRole")["Policies"][0]["PolicyDocument"]["Statement"]
    mail = [each for each in statements if "ses:SendEmail" in str(each)]
    return len(mail) == 1 and '"ses:FromAddress": {"Ref": "FromEmailAddress"}' in json.dumps(mail)


def _binary_holds(template: Template) -> bool:
    return "multipart/form-data" in template.properties(API)["DefinitionBody"]["x-amazon-apigateway-binary-media-types"]


def _retention_holds(template: Template) -> bool:
    return all(each["RetentionInDays"] for each in template.of("Logs::LogGroup").values())


def _retention_shown(deployment: Deployment) -> bool:
    groups = deployment.client("logs").describe_log_groups(logGroupNamePrefix=f"/sidereal/{STACK}/")["logGroups"]
    return len(groups) >= len(FUNCTIONS) and all(each.get("retentionInDays") for each in groups)


def _dashboard_holds(template: Template) -> bool:
    (dashboard,) = template.of("CloudWatch::Dashboard").values()
    return bool(json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"])


def _dashboard_shown(deployment: Deployment) -> bool:
    client = deployment.client("cloudwatch")
    found = client.get_dashboard(DashboardName=f"{STACK}-{client.meta.region_name}")
    return bool(json.loads(found["DashboardBody"])["widgets"])


def _layers_hold(template: Template) -> bool:
    functions = template.of("Serverless::Function")
    return all(("Layers" in functions[logical]) == (name in LAYER_OF) for name, logical in FUNCTIONS.items())


GAPS = (
    Gap("records that expire", "every table with expiring records names their attribute", _ttl_holds, _ttl_shown),
    Gap("point-in-time recovery", "every table asks for it", _recovery_holds, _recovery_shown),
    Gap("encryption of tables", "every table asks for it", _encryption_holds, _encryption_shown),
    Gap(
        "files that expire",
        "the bucket has a rule for each folder of files to be forgotten",
        _expiry_holds,
        _expiry_shown,
    ),
    Gap("TLS", "the policy of the bucket refuses what comes without", _tls_holds),
    Gap("limits of memory", "every function has a memory and a time that Lambda takes", _memory_holds),
    Gap("the gateway's limit of 10 MB", "its own 404, 413 and 429 have the keys of both APIs", _gateway_holds),
    Gap("throttling by the gateway", "the stage has limits, and 429 comes with Retry-After", _throttling_holds),
    Gap("alarms that compute", "their expressions have only terms that are there", _math_holds),
    Gap(
        "alarms that go off",
        "each tells the topic, and names a section of docs/operations.md",
        _alarms_hold,
        _alarms_shown,
    ),
    Gap("the dashboard", "its body is a JSON object with widgets", _dashboard_holds, _dashboard_shown),
    Gap("how long logs are kept", "every log group has a number of days", _retention_holds, _retention_shown),
    Gap("a domain of one's own", "it is made where its name is given, with TLS 1.2", _domain_holds),
    Gap("traces", "every function has the setting", _tracing_holds),
    Gap("who may be the sender of mail", "the one statement about it names the parameter's address", _mail_holds),
    Gap("binary types of the description", "they have multipart/form-data", _binary_holds),
    Gap(
        "Lambda's own Python and limits of size",
        "layers only where they belong; `make package` runs each function alone, and weighs it",
        _layers_hold,
    ),
)
