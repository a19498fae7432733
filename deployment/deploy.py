"""Deploys what `make package` has made: one CloudFormation stack per stage, created or updated.

Usage: `python -m deployment.deploy --stage dev build/package`; the environment may name STACK, PACKAGE_BUCKET and
PARAMETERS.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deployment.account import Account, DeployError, one_line_errors
from deployment.emulator_template import for_emulator, is_emulator
from deployment.packages import Packages, read_template
from deployment.stack import Stack
from deployment.stack_parameters import SECRETS, choose, first_key, given_parameters
from deployment.stages import gateway_stage, stack_name


def deploy(
    package: Path,
    stack: str,
    parameters: Mapping[str, str],
    account: Account,
    *,
    bucket: str | None = None,
    adapt: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    say: Callable[[str], None] = print,
    pause_s: float = 3.0,
    limit_s: float = 3600.0,
) -> dict[str, str]:
    """Create or update a stack, and return its outputs.

    Parameters
    ----------
    package : Path
        Folder that `make package` has filled.
    stack : str
        Name of the stack.
    parameters : mapping
        Parameters of the template; those that are not given keep their value, or have their default in a new stack.
    account : Account
        Where to.
    bucket : str or None
        Takes the package; None for a bucket of the account and region that is made where it is missing.
    adapt : callable or None
        Changes the template before it is uploaded, for an emulator that reads it otherwise than AWS.
    say : callable
        Takes lines about the progress.
    pause_s, limit_s : float
        Seconds between two looks at the stack; seconds for which it is waited for.

    Raises
    ------
    DeployError
        If it cannot be deployed; names what failed, and why.
    """
    secrets = [value for name, value in parameters.items() if name in SECRETS]
    with one_line_errors(*secrets):
        template = read_template(package)
        declared = template.get("Parameters", {})
        target = Stack(account, stack, say, pause_s, limit_s)
        found = target.prepare()
        kept = [each["ParameterKey"] for each in found.get("Parameters", [])] if found else []
        key = first_key(parameters) if found is None else {}
        chosen = choose(declared, {**parameters, **key}, kept)  # before anything is uploaded: it may be wrong
        packages = Packages(account, stack, bucket, say)
        address = packages.upload(package, adapt(template) if adapt else template)
        for pair in key.values():
            token, _, user = pair.partition(":")
            say(f"API key, shown this once: {token} (of the user {user}); keep it in a password manager")
        if not target.change(address, chosen, create=found is None):
            say(f"nothing to change in {stack}")
        packages.forget_old()
        return target.outputs()


def base_url(outputs: Mapping[str, str], endpoint_url: str | None) -> str:
    """Return the address of the API, without a slash at its end: that of API Gateway, or of an emulator's."""
    address = outputs["EndpointURL"].rstrip("/")
    if endpoint_url is None:
        return address
    return f"{endpoint_url.rstrip('/')}/restapis/{outputs['RestAPIId']}/{address.rpartition('/')[2]}/_user_request_"


def main(arguments: list[str] | None = None) -> int:
    """Deploy the package named on the command line, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deployment.deploy", description="Deploy a package as one stack.")
    parser.add_argument("package", type=Path, nargs="?", help="folder that `make package` has filled")
    parser.add_argument("--stage", required=True, help="a stage of .chalice/config.json")
    parser.add_argument("--check", action="store_true", help="only look whether it could begin")
    options = parser.parse_args(arguments)
    try:
        _deploy(options)
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; CloudFormation goes on with what it has begun", file=sys.stderr)
        return 130
    return 0


def _deploy(options: argparse.Namespace) -> None:
    stage, name = options.stage, stack_name(options.stage)
    of_file, named = given_parameters(stage, os.environ.get("PARAMETERS", ""))
    account = Account.of_environment()
    say(f"{name} in {account.region}, account {account.number}")
    if options.check:
        return
    if options.package is None:
        raise DeployError("which package? python -m deployment.deploy --stage dev build/package")
    template = read_template(options.package)
    made_for = template["Resources"]["RestAPI"]["Properties"]["StageName"]
    if made_for != gateway_stage(stage):
        raise DeployError(f"{options.package} was made for the stage {made_for}: run `make package STAGE={stage}`")
    unknown = sorted(of_file.keys() - template.get("Parameters", {}).keys())
    if unknown:
        say(f"left out, for this version has no such parameter: {', '.join(unknown)} (of the parameters file)")
    parameters = {name: value for name, value in of_file.items() if name not in unknown} | named
    emulated = is_emulator(account.endpoint_url)
    if emulated:
        say("this is the emulator: the template is changed where it reads one otherwise than AWS")
    outputs = deploy(
        options.package,
        name,
        parameters,
        account,
        bucket=os.environ.get("PACKAGE_BUCKET") or None,
        adapt=for_emulator if emulated else None,
        pause_s=0.5 if emulated else 3.0,
        say=say,
    )
    tell(outputs, base_url(outputs, account.endpoint_url), stage)


def say(text: str) -> None:
    """Print a line at once, also where the output is no terminal."""
    print(text, flush=True)


def tell(outputs: Mapping[str, str], url: str, stage: str) -> None:
    """Print where everything is, and what to do next."""
    say(f"\naddress     {url}")
    own = outputs.get("ApiUrl", "").rstrip("/")
    if own not in ("", outputs["EndpointURL"].rstrip("/")):
        say(f"also at     {own}")
    for name, value in outputs.items():
        if "Dashboard" in name and value.startswith("http"):
            say(f"dashboard   {value}")
    say(
        f"\nis it there?        curl {url}/api/v1/health\n"
        f"change a parameter  make deploy STAGE={stage} PARAMETERS='FromEmailAddress=alerts@example.org'\n"
        "everything else     docs/operations.md: keys, the portal's token, e-mail, alarms, going back"
    )


if __name__ == "__main__":
    sys.exit(main())
