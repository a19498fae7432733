"""Every address of the asimov REST API with the examples of its document, and with each error that it names."""

from urllib.parse import quote

from deployment.e2e.asking import Asker, E2EError

EVENT = "/api/v1/events/GW150914"
PRODUCTION = "/api/v1/productions/GW150914/Prod_A"
META = {"gps_time": 1126259462.4, "far": 1e-7}
EXAMPLE = {
    "name": "GW150914",
    "working_directory": "/path/to/working/GW150914",
    "meta": META,
}
PRODUCTION_EXAMPLE = {
    "name": "Prod_A",
    "pipeline": "bilby",
    "comment": "High-spin prior",
    "meta": {"sampler": "dynesty"},
}
STRANGE = "GW 170817+ΛCDM"
"""A name that an address has to encode."""

NO_EVENT = {"error": "Event not found"}
NO_PRODUCTION = {"error": "Production not found"}


def drive(ask: Asker) -> None:
    """Do what the document does, on a ledger that is empty; one event and one production are left."""
    for path in ("/api/v1/health", "/api/v1/health/"):
        ask("GET", path, 200, {"status": "ok", "version": "v1"})
    ask("GET", "/api/v1/events/", 200, {"events": []})
    _refuse(ask)
    _drive_events(ask)
    _drive_productions(ask)
    _drive_pages(ask)
    _drive_deletion(ask)


def _refuse(ask: Asker) -> None:
    """Try what is refused before anything is looked for."""
    texts = {
        None: "Authorization header missing",
        "Basic eDp5": "Invalid authorization scheme",
        "Bearer nonsense": "Invalid token",
    }
    for authorization, text in texts.items():
        reply = ask("POST", "/api/v1/events/", 401, {"error": text}, EXAMPLE, authorization=authorization)
        ask.check_header(reply, "www-authenticate", "Bearer")
    missing = {"loc": ["name"], "msg": "field required", "type": "value_error.missing"}
    ask("POST", "/api/v1/events/", 400, {"error": "Validation error", "details": [missing]}, {"meta": {}})
    broken = {"error": "Invalid or missing JSON payload", "details": list}
    ask("POST", "/api/v1/events/", 400, broken, "{", headers={"Content-Type": "application/json"})
    ask("POST", "/api/v1/events/", 400, broken)
    reply = ask("PATCH", EVENT, 405, {"error": 'Method "PATCH" not allowed.'})
    ask.check_header(reply, "allow", "GET, HEAD, PUT, DELETE, OPTIONS")
    for method, path in (
        ("GET", EVENT),
        ("PUT", EVENT),
        ("DELETE", EVENT),
        ("GET", f"{EVENT}/productions"),
        ("GET", PRODUCTION),
    ):
        ask(method, path, 404, NO_EVENT, {} if method == "PUT" else None)
    ask("POST", "/api/v1/productions/GW150914", 404, NO_EVENT, PRODUCTION_EXAMPLE)


def _drive_events(ask: Asker) -> None:
    event = {"name": "GW150914", "working directory": EXAMPLE["working_directory"], "productions": [], "meta": META}
    ask("POST", "/api/v1/events/", 201, {"event": event}, EXAMPLE)
    ask("POST", "/api/v1/events/", 409, {"error": "Event already exists"}, EXAMPLE)
    ask("GET", "/api/v1/events/", 200, {"events": [event]})
    for path in (EVENT, f"{EVENT}/"):
        ask("GET", path, 200, {"event": event})
    updated = {**event, "meta": {**META, "updated": True}}
    ask("PUT", EVENT, 200, {"event": updated}, {"meta": {"updated": True}})
    wrong = {"loc": ["meta"], "msg": "value is not a valid dict", "type": "type_error.dict"}
    ask("PUT", EVENT, 400, {"error": "Validation error", "details": [wrong]}, {"meta": []})
    for method in ("PUT", "DELETE"):
        ask(method, EVENT, 401, {"error": "Authorization header missing"}, authorization=None)
    ask("GET", EVENT, 200, {"event": updated})


def _drive_productions(ask: Asker) -> None:
    made = {
        "name": "Prod_A",
        "pipeline": "bilby",
        "status": "ready",
        "comment": "High-spin prior",
        "dependencies": [],
        "meta": {"sampler": "dynesty"},
    }
    address = "/api/v1/productions/GW150914"
    ask("POST", address, 201, {"production": made}, PRODUCTION_EXAMPLE)
    ask("POST", address, 409, {"error": "Production already exists"}, PRODUCTION_EXAMPLE)
    ask("POST", address, 401, {"error": "Authorization header missing"}, PRODUCTION_EXAMPLE, authorization=None)
    missing = [{"loc": [name], "msg": "field required", "type": "value_error.missing"} for name in ("name", "pipeline")]
    ask("POST", address, 400, {"error": "Validation error", "details": missing}, {"comment": ""})
    summary = {key: made[key] for key in ("name", "pipeline", "status", "comment")}
    ask("GET", f"{EVENT}/productions", 200, {"productions": [summary]})
    for path in (PRODUCTION, f"{PRODUCTION}/"):
        ask("GET", path, 200, {"production": made})
    change = {"status": "finished", "comment": "Completed successfully"}
    ask("PUT", PRODUCTION, 200, {"production": {**made, **change}}, change)
    ask("PUT", PRODUCTION, 400, {"error": "Validation error", "details": list}, {"status": "nonsense"})
    for method in ("PUT", "DELETE"):
        ask(method, PRODUCTION, 401, {"error": "Authorization header missing"}, authorization=None)
    ask("GET", EVENT, 200, {"event": {**_event(), "productions": [{**summary, **change}]}})
    # the same records under the newer name
    analysis = {**made, "name": "Prod_B", "dependencies": ["Prod_A"]}
    body = {**PRODUCTION_EXAMPLE, "name": "Prod_B", "dependencies": ["Prod_A"]}
    ask("POST", "/api/v1/analyses/GW150914", 201, {"analysis": analysis}, body)
    ask("GET", "/api/v1/analyses/GW150914/Prod_B", 200, {"analysis": analysis})
    ask(
        "PUT", "/api/v1/analyses/GW150914/Prod_B", 200, {"analysis": {**analysis, "status": "wait"}}, {"status": "wait"}
    )
    ask("GET", f"{EVENT}/analyses", 200, {"analyses": [..., {**summary, "name": "Prod_B", "status": "wait"}]})
    ask("DELETE", "/api/v1/analyses/GW150914/Prod_B", 204)
    ask("GET", "/api/v1/analyses/GW150914/Prod_B", 404, {"error": "Analysis not found"})


def _drive_pages(ask: Asker) -> None:
    """Walk through two pages, to a name that has to be encoded."""
    ask("POST", "/api/v1/events/", 201, {"event": {**_event(STRANGE), "meta": {}}}, {"name": STRANGE})
    first = ask("GET", "/api/v1/events/?limit=1", 200, {"events": [...], "next": str}).json
    second = ask("GET", f"/api/v1/events/?limit=1&next={quote(first['next'])}", 200).json
    names = [event["name"] for page in (first, second) for event in page["events"]]
    if names != ["GW150914", STRANGE]:
        raise E2EError(f"the pages of the events have {names}")
    wrong = {"loc": ["limit"], "msg": str, "type": "value_error.limit"}
    ask("GET", "/api/v1/events/?limit=0", 400, {"error": "Validation error", "details": [wrong]})


def _drive_deletion(ask: Asker) -> None:
    strange = f"/api/v1/events/{quote(STRANGE)}"
    ask("GET", strange, 200, {"event": {**_event(STRANGE), "meta": {}}})
    name = "P 1+½"
    ask("POST", f"/api/v1/productions/{quote(STRANGE)}", 201, ..., {"name": name, "pipeline": "rift"})
    production = f"/api/v1/productions/{quote(STRANGE)}/{quote(name)}"
    ask("GET", f"{production}/", 200, {"production": {**_production(), "name": name, "pipeline": "rift"}})
    ask("DELETE", production, 204)
    for method in ("GET", "PUT", "DELETE"):
        ask(method, production, 404, NO_PRODUCTION, {} if method == "PUT" else None)
    ask("DELETE", strange, 204)
    ask("GET", strange, 404, NO_EVENT)
    ask("GET", "/api/v1/events/", 200, {"events": [_event()]})
    if "Prod_A" not in ask("GET", "/events/GW150914/", 200).text:
        raise E2EError("the page of the event does not show its production")


def _event(name: str = "GW150914") -> dict[str, object]:
    return {"name": name, "working directory": str, "productions": list, "meta": dict}


def _production() -> dict[str, object]:
    return {"name": str, "pipeline": str, "status": "ready", "comment": "", "dependencies": [], "meta": {}}
