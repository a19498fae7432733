"""Circuit breakers (Powertools): what fails again and again is left alone for a while, by all functions alike.

Failures are counted in the process, so a service that is well costs one small read every few seconds; the state of a circuit
lies in the operations table.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from chalicelib.errors import UnavailableError
from chalicelib.metrics import Metric
from chalicelib.observability import logger, metrics
from chalicelib.settings import get_settings
from chalicelib.storage import clients, requests

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.circuit_breaker import CircuitTransition
    from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

MAX_FAILURES = 5
"""Failures in a row after which a circuit opens."""

OPEN_S = 30
"""Seconds after which one call is let through, to see."""

KNOWN_S = 5
"""Seconds for which a process believes what it has read of a circuit."""

CLOSED = "CLOSED"
"""State of a circuit whose calls are let through."""

Result = TypeVar("Result")


def call_guarded(circuit: str, function: Callable[[], Result], failure: type[Exception]) -> Result:
    """Return `function()`, unless its circuit is open; only `failure` counts against it.

    Reads the circuit from the operations table (`pk=CIRCUIT sk=<circuit>`) every few seconds, writes it when it changes.

    Raises
    ------
    UnavailableError
        If the circuit is open, or its state cannot be changed: the function was not called.
    """
    from aws_lambda_powertools.utilities.circuit_breaker import (
        CircuitBreakerConfig,
        CircuitBreakerOpenError,
        circuit_breaker,
    )
    from botocore.exceptions import BotoCoreError, ClientError

    # One success closes it again: only the thread that made the first try may make another, and may never come back.
    config = CircuitBreakerConfig(
        MAX_FAILURES, OPEN_S, success_threshold=1, handled_exceptions=failure, local_cache_max_age=KNOWN_S
    )
    guard = circuit_breaker(circuit, _store(), on_transition=_tell, config=config)
    try:
        result: Result = guard(function)()
    except CircuitBreakerOpenError as error:
        opened_at = error.circuit.opened_at if error.circuit else None
        wait_s = OPEN_S if opened_at is None else opened_at + OPEN_S - int(time.time())
        # Over, and yet not closed: somebody tries just now, and this process will not know before it reads again.
        raise UnavailableError(
            f"The {circuit} has failed several times; it is left alone for a while.", min(max(wait_s, KNOWN_S), OPEN_S)
        ) from None
    except (BotoCoreError, ClientError) as error:  # the table's: elections of who may try are not caught by Powertools
        logger.warning("the circuit cannot be read", extra={"circuit": circuit, "reason": type(error).__name__})
        raise UnavailableError(
            f"The {circuit} has failed several times; whether it is well again is not known."
        ) from None
    return result


def circuit_state(circuit: str) -> str:
    """Return the state of a circuit as all functions know it. One GetItem."""
    item = requests.get(get_settings().operations_table, {"pk": "CIRCUIT", "sk": circuit}) or {}
    return str(item.get("state", CLOSED))


@cache
def _store() -> "CircuitBreakerDynamoDBPersistence":
    from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

    return CircuitBreakerDynamoDBPersistence(
        get_settings().operations_table,
        key_attr="pk",
        sort_key_attr="sk",
        static_pk_value="CIRCUIT",
        expiry_attr="expires_at",
        boto3_client=clients.dynamodb(),
    )


def _tell(transition: "CircuitTransition") -> None:
    from aws_lambda_powertools.utilities.circuit_breaker.states import CircuitState

    logger.warning("circuit changed", extra={"circuit": transition.circuit_name, "state": transition.to_state.value})
    if transition.to_state == CircuitState.OPEN:
        metrics.add(Metric.CIRCUITS_OPENED)


def forget() -> None:
    """Drop what this process knows and has counted; for tests."""
    from aws_lambda_powertools.utilities.circuit_breaker import base

    _store.cache_clear()
    for counted in (base._LOCAL_FAILURES, base._LOCAL_SUCCESSES, base._LAST_OBSERVED_STATE):
        counted.clear()
