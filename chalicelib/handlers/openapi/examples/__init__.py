"""An example of each operation, by its name: what is sent, and what is answered. A test holds them against the schemas."""

from chalicelib.handlers.openapi.examples import ledger, telescope
from chalicelib.handlers.openapi.examples.example import Example

EXAMPLES: dict[str, Example] = {**ledger.EXAMPLES, **telescope.EXAMPLES}

__all__ = ["EXAMPLES", "Example"]
