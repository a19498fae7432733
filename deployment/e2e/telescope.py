"""The addresses of the telescope API that need neither functions behind queues nor a portal, with what they refuse."""

from urllib.parse import quote, urlsplit

from deployment.e2e.asking import Asker, E2EError, Form

NAME = "Hercules Globular Cluster"
"""As in the document's example; its address is encoded."""

NOT_FOUND = {"detail": "Not found."}
REQUIRED = ["This field is required."]
TARGET = {
    "id": int,
    "name": NAME,
    "type": "SIDEREAL",
    "ra": 250.42,
    "dec": 36.46,
    "extra_fields": {"mykey": "myvalue"},
    "created": float,
    "modified": float,
}
PRODUCT = {
    "id": int,
    "target": int,
    "name": str,
    "data_product_type": "fits_file",
    "size": int,
    "url": str,
    "groups": list,
    "created": float,
}
PROCESS = {
    "identifier": str,
    "created": float,
    "status": str,
    "terminal_timestamp": ...,
    "failure_message": ...,
    "view_url": str,
    "process_type": "TimelapsePipeline",
}
DETAIL = {
    "id": int,
    **PROCESS,
    "target": int,
    "pipeline": "Timelapse",
    "flags": dict,
    "options": dict,
    "progress": dict,
    "status_url": str,
    "logs_url": str,
    "group_name": ...,
    "group_url": ...,
}
FRAME = b"SIMPLE  =                    T" + b" " * 2850 + bytes(range(256))
"""What begins like a FITS file; it has no picture."""


def drive(ask: Asker) -> None:
    """Make, read, change and delete a target with what belongs to it."""
    _refuse(ask)
    target = _drive_targets(ask)
    product = _drive_products(ask, target)
    _drive_groups(ask, target, product)
    _drive_processes(ask, target, product)
    _drive_templates(ask, target)
    _show_pages(ask, target)
    ask("DELETE", f"/api/targets/{target}/", 204)
    for path in (f"/api/targets/{target}/", f"/api/dataproducts/{product}/", f"/api/target/{target}/"):
        ask("GET", path, 404, NOT_FOUND)


def page(*results: object) -> dict[str, object]:
    """Return a list that is all on one page."""
    return {"count": len(results), "next": None, "previous": None, "results": list(results)}


def _refuse(ask: Asker) -> None:
    """Try what is refused in any state."""
    for path in (
        "/api/async/status/999/",
        "/api/pipeline/logs/999/",
        "/api/target/999/",
        "/api/target/abc/",
        "/api/target/999/photometry/",
        "/api/targets/999/",
        "/api/dataproducts/999/",
        "/api/dataproducts/999/thumbnail/",
        "/api/dataproductgroups/999/",
        "/api/dataproductgroups/999/zip/",
        "/api/pipeline/999/",
        "/api/observationtemplates/999/",
        "/api/observations/999/",
        "/data/nothing/none/nothing.fits",
    ):
        ask("GET", path, 404, NOT_FOUND)
    reply = ask("POST", "/api/async/status/1/", 405, {"detail": 'Method "POST" not allowed.'})
    ask.check_header(reply, "allow", "GET, HEAD, OPTIONS")
    for path in ("/api/targets/", "/api/dataproducts/", "/api/dataproductgroups/", "/api/pipeline/"):
        ask("POST", path, 401, {"detail": "Authorization header missing"}, {}, authorization=None)
    broken = {"Content-Type": "application/json"}
    ask("POST", "/api/targets/", 400, {"detail": str}, "{", headers=broken)
    text = {"detail": 'Unsupported media type "text/plain" in request.'}
    ask("POST", "/api/targets/", 415, text, "x", headers={"Content-Type": "text/plain"})


def _drive_targets(ask: Asker) -> int:
    body = {"name": NAME, "ra": 250.42, "dec": 36.46, "extra_fields": {"mykey": "myvalue"}}
    ask("POST", "/api/targets/", 400, {"name": REQUIRED}, {"ra": 1, "dec": 1})
    reply = ask("POST", "/api/targets/", 201, TARGET, body)
    target = int(reply.json["id"])
    ask.check_header(reply, "location", f"{ask.stage}/api/targets/{target}/")
    ask("POST", "/api/targets/", 400, {"name": list}, body)
    for path in (f"/api/targets/{target}/", f"/api/targets/{target}"):
        ask("GET", path, 200, TARGET)
    shown = {"target": {"name": NAME, "extra_fields": {"mykey": "myvalue"}}, "timelapses": []}
    ask("GET", f"/api/target/{target}/", 200, shown)
    ask("GET", "/api/async/status/", 200, {"timestamp": float, "count": int, "is_all": bool, "processes": list})
    ask("GET", f"/api/async/status/{target}/", 200, {"timestamp": float, "processes": []})
    ask("GET", f"/api/targets/?name={quote(NAME)}", 200, page(TARGET))
    ask("GET", "/api/targets/?cone_search=250.4,36.4,0.5", 200, page(TARGET))
    ask("GET", "/api/targets/?cone_search=250.4", 400, {"cone_search": list})
    other = int(ask("POST", "/api/targets/", 201, ..., {"name": "M 92", "ra": 259.28, "dec": 43.14}).json["id"])
    one = {"count": int, "next": ..., "previous": ..., "results": [...]}
    first = ask("GET", "/api/targets/?limit=1", 200, {**one, "next": str, "previous": None}).json
    if urlsplit(first["next"]).path != f"{ask.stage}/api/targets/":
        raise E2EError(f"the next page is at {first['next']}")
    ask("GET", f"/api/targets/?{urlsplit(first['next']).query}", 200, {**one, "previous": str})
    changed = {**TARGET, "dec": 36.5}
    ask("PATCH", f"/api/targets/{target}/", 200, changed, {"dec": 36.5})
    ask("PATCH", f"/api/targets/{target}/", 400, {"dec": list}, {"dec": 91})
    ask("DELETE", f"/api/targets/{other}/", 204)
    ask("DELETE", f"/api/targets/{other}/", 404, NOT_FOUND)
    return target


def _drive_products(ask: Asker, target: int) -> int:
    address = "/api/dataproducts/"
    form = Form({"target": str(target), "data_product_type": "fits_file"}, "a b+½.fits", FRAME)
    reply = ask("POST", address, 201, {**PRODUCT, "name": form.name, "size": len(FRAME), "groups": []}, form)
    product = int(reply.json["id"])
    ask.check_header(reply, "location", f"{ask.stage}/api/dataproducts/{product}/")
    url = f"/data/{quote(NAME)}/none/{quote(form.name, safe='')}"
    if reply.json["url"] != url:
        raise E2EError(f"the file is at {reply.json['url']}, not {url}")
    ask("GET", url, 302)
    ask("POST", address, 400, {"file": list}, form)
    ask("GET", f"{address}{product}/", 200, PRODUCT)
    ask("GET", f"{address}?target={target}", 200, page(PRODUCT))
    ask("GET", address, 400, {"target": list})
    spare = int(ask("POST", address, 201, ..., Form(form.fields, "spare.fits", FRAME)).json["id"])
    ask("DELETE", f"{address}{spare}/", 204)
    ask("GET", f"{address}{spare}/", 404, NOT_FOUND)
    return product


def _drive_groups(ask: Asker, target: int, product: int) -> None:
    group = {"id": int, "name": "Good quality data", "created": float}
    made = ask("POST", "/api/dataproductgroups/", 201, ..., {"name": "Good quality data"})
    address = f"/api/dataproductgroups/{made.json['id']}/"
    ask.check_header(made, "location", f"{ask.stage}{address}")
    ask("PATCH", address, 200, {**group, "products": [product]}, {"add": [product]})
    ask("PATCH", address, 400, {"add": list}, {"add": [999_999]})
    ask("GET", address, 200, {**group, "products": [product]})
    ask("GET", "/api/dataproductgroups/", 200, {**page(), "count": int, "results": list})
    ask("GET", f"/dataproducts/data/group/{made.json['id']}/", 200)
    ask("GET", f"/api/dataproducts/?target={target}", 200, page({**PRODUCT, "groups": [made.json["id"]]}))
    ask("DELETE", address, 204)
    ask("GET", address, 404, NOT_FOUND)


def _drive_processes(ask: Asker, target: int, product: int) -> None:
    """Start a process and cancel it; what it would make is not looked at here."""
    listed = ask("GET", "/api/pipelines/", 200).json
    keys = ["name", "short_name", "flags", "options", "allowed_suffixes"]
    if any(list(each) != keys for each in listed) or "Timelapse" not in [each["name"] for each in listed]:
        raise E2EError(f"the pipelines are {listed}")
    ask("POST", "/api/pipeline/", 400, {"target": REQUIRED, "pipeline": REQUIRED}, {})
    body = {"target": target, "pipeline": "Timelapse", "products": [product]}
    wrong = {"flags": ["Unknown flag 'zoom'."]}
    ask("POST", "/api/pipeline/", 400, wrong, {**body, "flags": {"zoom": True}})
    made = ask("POST", "/api/pipeline/", 202, {**DETAIL, "status": "pending"}, body)
    address = f"/api/pipeline/{made.json['id']}/"
    ask.check_header(made, "location", f"{ask.stage}{address}")
    ask("GET", made.json["status_url"], 200, {"timestamp": float, "processes": [PROCESS]})
    log = {**PROCESS, "logs": str, "group_name": None, "group_url": None}
    ask("GET", made.json["logs_url"], 200, log)
    # One frame makes no film: where functions run, the process may have failed before it is cancelled.
    cancelled = ask("POST", f"{address}cancel/", ..., ...)
    if cancelled.status not in (200, 409):
        raise E2EError(f"cancelling answers {cancelled.status}: {cancelled.text}")
    ask("POST", f"{address}cancel/", 409, {"detail": "The process has ended already."})
    ask("GET", address, 200, {**DETAIL, "status": "failed", "failure_message": str, "terminal_timestamp": float})
    ask("POST", f"{address}retry/", 202, {**DETAIL, "status": "pending", "failure_message": None})
    ask("GET", made.json["view_url"], 200)


def _drive_templates(ask: Asker, target: int) -> None:
    address = "/api/observationtemplates/"
    body = {"name": "my-template", "target": target, "facility": "LCO", "fields": {"ipp_value": 1.05}}
    template = {"id": int, **body, "created": float, "modified": float}
    made = ask("POST", address, 201, template, body)
    its = f"{address}{made.json['id']}/"
    ask.check_header(made, "location", f"{ask.stage}{its}")
    ask("POST", address, 400, {"name": list}, body)
    ask("POST", address, 400, {"facility": ["Facility not found."]}, {**body, "facility": "SOAR"})
    ask("GET", its, 200, template)
    ask("GET", f"{address}?target={target}", 200, page(template))
    ask("PATCH", its, 200, {**template, "name": "other"}, {"name": "other"})
    ask("DELETE", its, 204)
    ask("GET", its, 404, NOT_FOUND)


def _show_pages(ask: Asker, target: int) -> None:
    """Open what people look at, and the lists of what a target has none of."""
    for path in ("/", f"/targets/{target}/", f"/targets/{target}", "/events", "/events/"):
        if "<html" not in ask("GET", path, 200).text:
            raise E2EError(f"{path} is no page")
    ask("GET", "/targets/999/", 404)
    ask("GET", "/events/nothing/", 404)
    ask("GET", "/dataproducts/data/group/999/zip/", 404)
    ask("GET", f"/api/observations/?target={target}", 200, page())
    ask("GET", f"/api/reduceddatums/?target={target}", 200, page())
    ask("GET", f"/api/target/{target}/photometry/", 200, {"csv": None, "plot": None})
    ask("GET", f"/targets/{target}/data/download/", 200)
