"""Requests that come again with the same `Idempotency-Key`."""

from typing import Any

from deployment.e2e.asking import Asker, E2EError

KEY = "Idempotency-Key"
REPLAYED = "idempotency-replayed"


def drive(ask: Asker) -> None:
    """Send what creates something twice, to both APIs, and the key once more with another body."""
    _repeat(ask, "/api/v1/events/", {"name": "S190521g"}, {"name": "S190521h"}, {"error": str})
    target = {"name": "M 3", "ra": 205.5, "dec": 28.4}
    made = _repeat(ask, "/api/targets/", target, {**target, "dec": 28.5}, {"detail": str})
    wrong = {KEY: "x" * 256}
    ask("POST", "/api/targets/", 400, {KEY: list}, {**target, "name": "M 5"}, headers=wrong)
    ask("POST", "/api/v1/events/", 400, {"error": str, "details": list}, {"name": "S190521h"}, headers=wrong)
    ask("DELETE", "/api/v1/events/S190521g", 204)
    ask("DELETE", f"/api/targets/{made['id']}/", 204)


def _repeat(ask: Asker, path: str, body: dict[str, Any], other: dict[str, Any], refusal: object) -> dict[str, Any]:
    headers = {KEY: f"e2e{path}"}
    first = ask("POST", path, 201, ..., body, headers=headers)
    again = ask("POST", path, 201, ..., dict(reversed(body.items())), headers=headers)
    ask.check_header(again, REPLAYED, "true")
    if (
        REPLAYED in first.headers
        or again.text != first.text
        or again.headers.get("location") != first.headers.get("location")
    ):
        raise E2EError(f"the reply to what was sent again is {again}, not {first}")
    ask("POST", path, 422, refusal, other, headers=headers)
    made: dict[str, Any] = first.json
    return made
