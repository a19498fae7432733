"""What schemathesis cannot know of our APIs: an `Idempotency-Key` that comes again is no new request."""

import random
import uuid
from typing import Any

import schemathesis

SEED = 1
KEY = "Idempotency-Key"

_random = random.Random(SEED)


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: "schemathesis.Case[Any]", kwargs: dict[str, Any]) -> None:
    """Make most keys new ones: else all requests to an address but the first are refused for their key alone."""
    is_valid = case.meta is None or case.meta.generation.mode.is_positive
    if is_valid and case.headers.get(KEY) and _random.random() < 0.8:
        case.headers[KEY] = str(uuid.UUID(int=_random.getrandbits(128)))
