"""The logger and the metrics of all functions (Powertools), and what each line says of the invocation that it belongs to."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from chalicelib.metrics import Metric, Metrics

SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME") or "sidereal"
"""Which deployment it is: stages may share an account."""

_SCRUBBED = re.compile(
    r"""
    (?<= [?] ) [^\s"'\\<>]* (?:signature|credential|token|policy|accesskeyid) = [^\s"'\\<>]*  # the query of a signed link
    | (?<= Bearer[ ] ) [^\s"'\\<>]{8,} | (?<= Token[ ] ) [^\s"'\\<>]{16,}       # the header Authorization
    | (?<= input_value= ) (?: [^"\\] | \\. )*? (?= ,[ ]input_type= )                 # what pydantic was given
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_is_warm = False


class Formatter(LambdaPowertoolsFormatter):
    """Writes a line of JSON, without what the texts of other libraries' exceptions may have taken into it."""

    def serialize(self, log: Any) -> str:
        """Return the line."""
        return _SCRUBBED.sub("...", super().serialize(log))


logger = Logger(service=SERVICE, logger_formatter=Formatter(utc=True))
metrics = Metrics(SERVICE)


@contextmanager
def invocation(context: Any, **keys: Any) -> Iterator[None]:
    """Let every line that this thread logs meanwhile say where it belongs, and write the metrics at the end.

    Parameters
    ----------
    context : object
        Lambda's; anything else stands for a function without a name.
    keys : dict
        Further keys of the lines.
    """
    global _is_warm
    is_cold, _is_warm = not _is_warm, True
    metrics.begin(str(getattr(context, "function_name", "")), str(keys.get("route", "")))
    if is_cold:
        metrics.add(Metric.COLD_STARTS)
    about = {
        "function_name": metrics.function,
        "function_request_id": str(getattr(context, "aws_request_id", "")),
        "cold_start": is_cold,
    }
    try:
        with log_keys(**about, **keys):
            yield
    finally:
        metrics.flush()


@contextmanager
def log_keys(**keys: Any) -> Iterator[None]:
    """Let every line that this thread logs meanwhile have these keys, and those that `note` adds."""
    before = dict(logger.thread_safe_get_current_keys())
    logger.thread_safe_append_keys(**keys)
    try:
        yield
    finally:
        logger.thread_safe_clear_keys()
        logger.thread_safe_append_keys(**before)


def note(**keys: Any) -> None:
    """Add keys to the lines of this thread, until the `log_keys` or the `invocation` around it ends."""
    logger.thread_safe_append_keys(**keys)


def request_id() -> str:
    """Return the id of the request that this thread answers, or that asked for what it does; "" where there is none."""
    return str(logger.thread_safe_get_current_keys().get("request_id", ""))
