"""Holds every AWS call of the suite against the policy of the function that makes it, and every policy against the calls.

A call that its function's role would be refused fails the test. After a run of the whole suite, so does what no call
needed: a grant that nothing uses is one too many.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.permissions.acting import function_running, watch_functions
from tests.permissions.actions import Need, UnknownOperationError, bucket_arn, needs
from tests.permissions.policies import Grant, Policies, Stack, grants, polled, resources, variables

USED_BY_LAMBDA = {
    "logs:CreateLogStream": "it writes the logs",
    "logs:PutLogEvents": "it writes the logs",
    "xray:PutTraceSegments": "it sends the traces",
    "xray:PutTelemetryRecords": "it sends the traces",
}
"""Actions that no test can use, with the reason."""

USED_BY_POLLING = {
    "sqs:ReceiveMessage": "it receives messages",
    "sqs:DeleteMessage": "it deletes what the function took",
    "sqs:GetQueueAttributes": "it looks at the queue before it polls",
}
"""What Lambda does under the role of a function behind a queue."""

USED_AT_TIMES = {
    ("ses:SendEmail", "configuration-set/"): "whoever verifies the sender may give it a configuration set",
    (
        "s3:AbortMultipartUpload",
        "/processes/",
    ): "boto3 sends a large output in parts, and gives up those of a failed one",
    ("sqs:GetQueueUrl", "Queue"): "a process asks once for an address, and all functions of a test are one process",
}
"""Actions on resources whose name has this part, with the reason why tests do not need them."""

SAME_CODE = {"run_timelapse": "run_pipeline", "run_pipeline": "run_timelapse"}
"""Functions that run whatever process a message names: what one of them was seen to need, so does the other."""

_PARTIAL = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "stepwise", "collectonly")
"""Options of pytest that leave tests out."""


_UNWATCHED = "unwatched"


class Permissions:
    """Watches the AWS calls of a process; in a run of several processes, the first one gathers what the others saw."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._patch = pytest.MonkeyPatch()
        self._stacks: dict[tuple[Any, ...], Policies] = {}
        self._settings = sorted(set(variables(resources()).values()))
        self._refused: list[str] = []
        self._used: set[Grant] = set()
        self._unused: list[Grant] = []

    def look(self, function: str, need: Need) -> None:
        """Note which grant a call uses, or that there is none."""
        grant = self._policies().find(function, *need)
        if grant is None:
            action, resource = need
            self._refused.append(f"{function} may not {action} on {resource}: its policy does not grant it")
        else:
            self._used.add(grant)

    def _policies(self) -> Policies:
        from chalicelib.settings import get_settings

        settings = get_settings()
        values = tuple(getattr(settings, name.lower(), None) for name in self._settings)
        if values not in self._stacks:
            named = {name: value for name, value in zip(self._settings, values, strict=True) if isinstance(value, str)}
            self._stacks[values] = Policies(grants(), Stack(resources(), named))
        return self._stacks[values]

    # What botocore tells.

    def watch_call(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        """Look at a request that is about to be made, or at a link that is being signed: it has the signer's rights."""
        function = function_running()
        if function is None or _UNWATCHED in context:
            return
        if model.name == "CreateBucket" and context.get("is_presign_request"):
            return  # botocore takes that operation for the address of a form; `watch_form` sees what is signed
        context["acting_as"], context["bucket"] = function, params.get("Bucket")
        try:
            for need in needs(model.service_model.service_id.hyphenize(), model.name, params):
                self.look(function, need)
        except UnknownOperationError as error:
            self._refused.append(f"{function}: {error}")

    def watch_answer(self, http_response: Any, context: dict[str, Any], **_: Any) -> None:
        """See whether an answer says that a file is missing: who may not list the bucket is told 403 instead."""
        if getattr(http_response, "status_code", None) == 404 and "acting_as" in context:
            self.look(context["acting_as"], ("s3:ListBucket", bucket_arn(context["bucket"])))

    def watch_form(self, fields: dict[str, str], conditions: list[Any]) -> None:
        """Look at a form for an upload that is being signed."""
        function = function_running()
        if function is not None:
            (bucket,) = (each["bucket"] for each in conditions if isinstance(each, dict) and "bucket" in each)
            self.look(function, ("s3:PutObject", f"{bucket_arn(bucket)}/{fields['key']}"))

    # What pytest tells.

    def pytest_sessionstart(self) -> None:
        """Begin to watch, before the first AWS client is made."""
        from botocore.handlers import BUILTIN_HANDLERS
        from botocore.signers import S3PostPresigner

        sign = S3PostPresigner.generate_presigned_post

        def sign_and_tell(signer: Any, request_dict: Any, fields: Any, conditions: Any, **more: Any) -> Any:
            self.watch_form(fields, conditions)
            return sign(signer, request_dict=request_dict, fields=fields, conditions=conditions, **more)

        self._patch.setattr(S3PostPresigner, "generate_presigned_post", sign_and_tell)
        watched = [("provide-client-params", self.watch_call), ("after-call.s3", self.watch_answer)]
        self._patch.setattr("botocore.handlers.BUILTIN_HANDLERS", [*BUILTIN_HANDLERS, *watched])
        watch_functions(self._patch)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        """Fail a test whose fixtures were refused something."""
        yield from self._fail_if_refused()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Fail a test that was refused something."""
        yield from self._fail_if_refused()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        """Fail a test that was refused something while it was cleared away."""
        yield from self._fail_if_refused()

    def _fail_if_refused(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            for sentence in self.take_refused():
                error.add_note(sentence)
            raise
        if sentences := self.take_refused():
            pytest.fail("\n".join(sentences), pytrace=False)

    def take_refused(self) -> list[str]:
        """Return what was refused since it was last asked for, each sentence once."""
        taken = list(dict.fromkeys(self._refused))
        self._refused.clear()
        return taken

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what another process of this run saw."""
        self._used |= {Grant(*grant) for grant in getattr(node, "workeroutput", {}).get("used_grants", ())}

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over what was seen, or judge it."""
        self._patch.undo()
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["used_grants"] = [(each.function, each.action, each.resource, each.condition) for each in self._used]
        elif self._is_whole() and session.exitstatus == pytest.ExitCode.OK:
            self._unused = unused(self._used)
            if self._unused:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _is_whole(self) -> bool:
        option = self._config.option
        is_all = self._config.args_source is pytest.Config.ArgsSource.TESTPATHS
        return is_all and not any(getattr(option, name, None) for name in _PARTIAL)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what is granted in vain."""
        if self._unused:
            terminalreporter.section("granted in vain", red=True)
            terminalreporter.line("No test needed these; what no code uses, no policy should grant:")
            for grant in self._unused:
                terminalreporter.line(str(grant))


def unused(used: set[Grant]) -> list[Grant]:
    """Return the grants that no call needed, without those that are there for something else."""
    needed = used | {replace(each, function=SAME_CODE[each.function]) for each in used if each.function in SAME_CODE}
    return [grant for grant in grants() if grant not in needed and not _is_used_otherwise(grant)]


def _is_used_otherwise(grant: Grant) -> bool:
    return (
        grant.action in USED_BY_LAMBDA
        or (grant.action in USED_BY_POLLING and grant.resource in polled(grant.function))
        or any(grant.action == action and part in grant.resource for action, part in USED_AT_TIMES)
    )


def leave_unwatched(client: Any) -> None:
    """Let a client do what no role allows: tests look behind the functions' backs with it, also while one runs."""
    client.meta.events.register_first("provide-client-params", lambda context, **_: context.update({_UNWATCHED: True}))
