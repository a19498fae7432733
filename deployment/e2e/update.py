"""The stack is updated while it is used, and removed at last; what is in it stays."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployment.bundle import DEPLOYMENT_FILE
from deployment.e2e.asking import E2EError
from deployment.e2e.films import FRAME_COUNT, Films
from deployment.e2e.letters import Letters
from deployment.e2e.observing import EMAIL, LIMIT
from deployment.e2e.stack import STACK, Deployment
from deployment.logical_names import API, BUCKET, FUNCTIONS, QUEUES, TABLES
from deployment.packages import read_template

ORIGIN = "https://pages.example.org"
RATE = "1000/minute"
KEPT = [*TABLES.values(), *QUEUES.values(), BUCKET, API, *FUNCTIONS.values()]
"""What an update must not replace."""


@dataclass(frozen=True)
class Content:
    """What is in a stack: what it is made of, its records, its files, its messages."""

    names: dict[str, str]
    records: dict[str, dict[str, str]]
    files: dict[str, str]
    messages: dict[str, str]


def other_package(package: Path, folder: Path) -> Path:
    """Return a package with other code: the bundle has one more file, the rest is the same."""
    changed = folder / "package"
    changed.mkdir()
    for file in package.iterdir():
        if file.name != DEPLOYMENT_FILE:
            (changed / file.name).symlink_to(file.resolve())
    shutil.copy(package / DEPLOYMENT_FILE, changed)
    with zipfile.ZipFile(changed / DEPLOYMENT_FILE, "a") as bundle:
        bundle.writestr("revision.txt", "2\n")
    return changed


def update(deployment: Deployment, package: Path, films: Films, letters: Letters) -> str:
    """Deploy other code and other parameters while a film is being made, and see that nothing is lost.

    Raises
    ------
    E2EError
        If something is, or if the new code and parameters have not arrived.
    """
    code = _code(deployment)
    films.shorten_runs()
    process = films.start("Timelapse", options={"format": "mp4"})
    films.clock.wait("the first frames", lambda: films.progress(process) > 1 or None)
    # The emulator ends the processes of functions whose code is changed, where Lambda lets what they do come to its end.
    deployment.set_listening("RunTimelapse", is_on=False)
    deployment.wait_for_message("TimelapseQueue")
    begun = films.progress(process)
    before = look(deployment, letters)
    deployment.deploy(package, ThrottleObserve=RATE, CorsOrigins=ORIGIN)
    deployment.set_listening("RunTimelapse", is_on=True)
    _compare(before, look(deployment, letters))
    same = [name for name, digest in _code(deployment).items() if digest == code[name]]
    if same:
        raise E2EError(f"still with the code from before: {same}")
    _check_parameters(deployment, films)
    runs = films.check_handed_over(process)
    newest = int(films.ask("POST", "/api/targets/", 201, ..., {"name": "after", "ra": 1, "dec": 2}).json["id"])
    known = [
        int(key.partition("#")[2].partition("#")[0])
        for key in before.records["TelescopeTable"]
        if key.startswith("TARGET#")
    ]
    if newest <= max(known):
        raise E2EError(f"the new target has the id {newest}, others had up to {max(known)}")
    return f"{begun} of {FRAME_COUNT} frames of a film were done before, the others after, in {runs} runs together"


def _check_parameters(deployment: Deployment, films: Films) -> None:
    """See that pages of the new origin are let in, by the API and by the bucket, and that more may be asked for."""
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
    for method in ("GET", "OPTIONS"):
        reply = films.ask(method, "/api/v1/events", int, headers=asked)
        films.ask.check_header(reply, "access-control-allow-origin", ORIGIN)
    (rule,) = deployment.client("s3").get_bucket_cors(Bucket=deployment.name_of(BUCKET))["CORSRules"]
    if rule["AllowedOrigins"] != [ORIGIN]:
        raise E2EError(f"the bucket lets in {rule}")
    body = {"target": films.target, "template_name": "another", "facility": "LCO", "email": EMAIL}
    somebody = {"X-Forwarded-For": "192.0.2.3"}
    for _ in range(LIMIT + 1):
        films.ask("POST", "/api/observe/", 404, {"detail": str}, body, authorization=None, headers=somebody)


def look(deployment: Deployment, letters: Letters) -> Content:
    """Return what is in the stack, past its API."""
    found = deployment.resources()
    names = {name: found[name] for name in KEPT}
    records = {table: _records(deployment, names[table]) for table in ("LedgerTable", "TelescopeTable")}
    return Content(names, records, _files(deployment, names[BUCKET]), letters.given_up())


def remove(deployment: Deployment, package: Path, letters: Letters) -> str:
    """Delete the stack; what the template says stays.

    Raises
    ------
    E2EError
        If anything else stays, or if the data are not as they were.
    """
    before, names = look(deployment, letters), deployment.resources()
    retained = {name for name, each in read_template(package)["Resources"].items() if each.get("DeletionPolicy")}
    # versions of layers stay as well, unless the template says otherwise: a stack may have to go back to one
    kept = {each.physical for each in deployment.remove() if each.type != "AWS::Lambda::LayerVersion"}
    if kept != {names[name] for name in retained if name in names}:
        raise E2EError(f"said to be kept: {kept}; the template keeps {retained}")
    gone = {
        "functions": [each["FunctionName"] for each in deployment.client("lambda").list_functions()["Functions"]],
        "queues": deployment.client("sqs").list_queues().get("QueueUrls", []),
        "rules": [each["Name"] for each in deployment.client("events").list_rules()["Rules"]],
        "roles": [
            each["RoleName"] for each in deployment.client("iam").list_roles()["Roles"] if STACK in each["RoleName"]
        ],
        "addresses": [each["id"] for each in deployment.client("apigateway").get_rest_apis()["items"]],
    }
    # the emulator says one address of a queue here, and another there: its name is the last part of both
    left = {_name(each) for found in gone.values() for each in found} - set(map(_name, kept))
    if left:
        raise E2EError(f"left of the stack: {left}")
    for table in before.records:
        if _records(deployment, names[table]) != before.records[table]:
            raise E2EError(f"the {table} has changed")
    if _files(deployment, names[BUCKET]) != before.files:
        raise E2EError("the files have changed")
    count = sum(map(len, before.records.values()))
    data = f"{count} records and {len(before.files)} files are still there"
    return f"{', '.join(gone)} are gone, but for {', '.join(sorted(retained & names.keys()))}; {data}"


def _name(physical: str) -> str:
    return physical.rpartition("/")[2]


def _compare(before: Content, after: Content) -> None:
    """Make sure that nothing is lost or replaced; the film that is being made may have changed its own records."""
    if after.names != before.names:
        raise E2EError(f"replaced: {[name for name in KEPT if after.names[name] != before.names[name]]}")
    if after.messages != before.messages:
        raise E2EError(f"the messages given up are {after.messages}, not {before.messages}")
    if after.records["LedgerTable"] != before.records["LedgerTable"]:
        raise E2EError("the ledger has changed")
    lost = before.records["TelescopeTable"].keys() - after.records["TelescopeTable"].keys()
    changed = {key for key, digest in before.files.items() if after.files.get(key, digest) != digest}
    gone = {key for key in before.files.keys() - after.files.keys() if "/checkpoint/" not in key}
    if any("#CHECKPOINT" not in key for key in lost) or changed or gone:
        raise E2EError(f"lost records {lost}, lost files {gone}, changed files {changed}")


def _code(deployment: Deployment) -> dict[str, str]:
    return {
        each["FunctionName"]: each["CodeSha256"] for each in deployment.client("lambda").list_functions()["Functions"]
    }


def _records(deployment: Deployment, table: str) -> dict[str, str]:
    """Return a digest of each item, by its keys."""
    pages = deployment.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    items: list[dict[str, Any]] = [item for page in pages for item in page["Items"]]
    return {
        f"{item['pk']['S']}#{item['sk']['S']}": hashlib.sha256(
            json.dumps(item, sort_keys=True, default=lambda raw: raw.hex()).encode()
        ).hexdigest()
        for item in items
    }


def _files(deployment: Deployment, bucket: str) -> dict[str, str]:
    pages = deployment.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", [])}
