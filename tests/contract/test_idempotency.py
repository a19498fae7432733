"""`Idempotency-Key`: what is sent again with it is done once, in both APIs."""

import random
import re
import uuid
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from app import app
from chalicelib.errors import StillAtWorkError, UnavailableError
from chalicelib.settings import Settings, get_settings
from chalicelib.storage import clients, idempotency
from deployment.template import timeouts_s
from local.context import LambdaContext
from local.portal.stand_in import StandIn
from tests.asking import Killer
from tests.conftest import TOKEN, Answer, Api, Aws, Clock
from tests.keys import KEYED, TABLE, end_time, records

EVENTS, TARGETS, GROUPS = "/api/v1/events/", "/api/targets/", "/api/dataproductgroups/"
M13 = {"name": "M 13", "ra": 250.42, "dec": 36.46}
TIMELAPSE = {"target": 1, "pipeline": "Timelapse", "products": [1]}
REUSED = "This Idempotency-Key was sent with another body before."


def is_replayed(answer: Answer) -> bool:
    return answer.headers.get("idempotency-replayed") == "true"


def message(answer: Answer) -> Any:
    """Return the text of an error in the shape of either family."""
    (text,) = answer.json.values()
    return text


def upload(api: Api, name: str, content: str, **headers: str) -> Answer:
    """Upload a file as a form; no two forms have the same boundary."""
    boundary = uuid.uuid4().hex
    parts = (
        'name="target"\r\n\r\n1',
        f'name="data_product_type"\r\n\r\nimage_file\r\n--{boundary}\r\n'
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n{content}',
    )
    body = "".join(f"--{boundary}\r\nContent-Disposition: form-data; {part}\r\n" for part in parts)
    sent = {"Content-Type": f"multipart/form-data; boundary={boundary}", **headers}
    return api.post("/api/dataproducts/", body=f"{body}--{boundary}--\r\n", headers=sent)


def posts() -> Iterator[str]:
    """Yield an address of each route that takes POST."""
    for route, methods in app.routes.items():
        handler = methods["POST"].view_function.__closure__ or ()
        if any(isinstance(cell.cell_contents, dict) and "POST" in cell.cell_contents for cell in handler):
            yield re.sub(r"\{.*?\}", "1", route)


def test_every_post_refuses_a_key_that_is_none(api: Api, calls: list[str]) -> None:
    text = "Give 1 to 255 visible ASCII characters."
    paths = list(posts())
    assert len(paths) > 10
    for path, key in product(paths, ["", "two words", "é", "x" * 256]):
        answer = api.post(path, {}, headers={"Idempotency-Key": key})
        assert answer.status == 400
        if path.startswith("/api/v1/"):
            assert answer.json["details"] == [{"loc": ["Idempotency-Key"], "msg": text, "type": "value_error.key"}]
        else:
            assert answer.json == {"Idempotency-Key": [text]}
    assert calls == []


def test_the_same_key_and_body_get_the_same_reply_and_are_done_once(api: Api, aws: Aws, portal: StandIn) -> None:
    api.post(EVENTS, {"name": "GW1"})
    api.upload(api.target(), "a.gif", b"GIF89a")
    api.post("/api/pipeline/", TIMELAPSE)
    kept_apart: list[str] = []
    note = lambda params, **_: kept_apart.append(path) if aws.name(TABLE).encode() in params["body"] else None  # noqa: E731
    clients.dynamodb().meta.events.register("before-call.dynamodb.UpdateItem", note)
    for path, body, status in (
        (EVENTS, {"name": "GW150914", "meta": {"far": 1e-7, "big": 10**40}}, 201),
        ("/api/v1/productions/GW1", {"name": "Prod_A", "pipeline": "bilby"}, 201),
        (TARGETS, {**M13, "name": "Ω Cen"}, 201),
        (GROUPS, {"name": "Good"}, 201),
        ("/api/dataproducts/", {"target": 1, "filename": "b.fits", "size": 2880}, 201),
        ("/api/observationtemplates/", {"name": "A", "target": 1, "facility": "LCO", "fields": {"ipp_value": 1}}, 201),
        ("/api/pipeline/", TIMELAPSE, 202),
        ("/api/pipeline/1/cancel/", None, 200),
    ):
        first = api.post(path, body, headers=KEYED)
        made = len(aws.items("sidereal-ledger")) + len(aws.items())
        again = api.post(path, body, headers=KEYED)
        assert (first.status, is_replayed(first)) == (status, False)
        assert (again.status, is_replayed(again)) == (status, True)
        assert again.text == first.text or "upload" in first.json, path  # a form is signed anew
        assert again.headers.get("location") == first.headers.get("location")
        assert again.headers["content-type"] == "application/json"
        assert len(aws.items("sidereal-ledger")) + len(aws.items()) == made
    assert kept_apart == ["/api/pipeline/1/cancel/"], "the others are kept with what they create"


@pytest.mark.parametrize(("path", "body"), [(EVENTS, {"name": "GW150914"}), (TARGETS, M13)])
def test_the_same_key_with_another_body_is_422(api: Api, path: str, body: dict[str, Any]) -> None:
    api.post(path, body, headers=KEYED)
    answer = api.post(path, {**body, "name": "Another"}, headers=KEYED)
    assert (answer.status, answer.json) == (422, {"error" if path == EVENTS else "detail": REUSED})
    assert is_replayed(api.post(path, body, headers=KEYED))


def test_bodies_are_compared_by_what_they_mean(api: Api) -> None:
    headers = {**KEYED, "Content-Type": "application/json"}
    api.post(TARGETS, body='{"name": "M 13", "ra": 1, "dec": 2}', headers=headers)
    assert is_replayed(api.post(TARGETS, body='{"dec":2,"ra":1,"name":"M\\u002013"}', headers=headers))
    assert api.post(TARGETS, body='{"name": "M 13", "ra": 1, "dec": 2.0}', headers=headers).status == 422


def test_forms_are_compared_by_fields_and_files_not_by_their_boundaries(api: Api, aws: Aws) -> None:
    api.target()
    first = upload(api, "a.gif", "GIF89a", **KEYED)
    again = upload(api, "a.gif", "GIF89a", **KEYED)
    assert (first.status, again.status, again.text, is_replayed(again)) == (201, 201, first.text, True)
    assert upload(api, "a.gif", "GIF89b", **KEYED).status == 422
    assert upload(api, "b.gif", "GIF89a", **KEYED).status == 422
    assert aws.keys() == ["products/1/1/a.gif"]


def test_a_key_is_its_users_at_one_address(api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "keys.yaml").write_text("api_keys: {theirs: somebody, spare: tester}\n")
    monkeypatch.setenv("ASIMOV_API_KEYS_FILE", str(tmp_path / "keys.yaml"))
    get_settings.cache_clear()
    group = {"name": "Good"}
    told = [
        api.post(GROUPS, group, headers=KEYED),
        api.post(GROUPS, group, headers=KEYED, token="spare"),
        api.post(GROUPS, group, headers=KEYED, token="theirs"),
        api.post(GROUPS, group, headers={"Idempotency-Key": "4f1c2b"}),
        api.post(GROUPS.rstrip("/"), group, headers=KEYED),
    ]
    assert [answer.json["id"] for answer in told] == [1, 1, 2, 3, 1]
    assert api.post("/api/v1/events", {"name": "Good"}, headers=KEYED).status == 201
    assert api.post(GROUPS, group, headers=KEYED, token=None).status == 401


def test_what_is_refused_has_done_nothing_and_may_be_sent_again_changed(api: Api, aws: Aws) -> None:
    api.target("M 31")
    assert api.post(TARGETS, {"name": "M 31", "ra": 1, "dec": 2}, headers=KEYED).status == 400
    assert api.post(TARGETS, body="{", headers=KEYED).status == 400
    assert records(aws) == []
    answer = api.post(TARGETS, M13, headers=KEYED)
    assert (answer.status, is_replayed(answer)) == (201, False)


def test_what_failed_without_a_reason_may_be_sent_again(api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.storage.groups.create", lambda *_: 1 / 0)
        assert api.post(GROUPS, {"name": "Good"}, headers=KEYED).status == 500
    assert api.post(GROUPS, {"name": "Good"}, headers=KEYED).status == 201
    assert records(aws)[0]["status"] == "COMPLETED"


def test_a_process_whose_message_is_not_taken_may_be_asked_for_again(
    api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.upload(api.target(), "a.gif", b"GIF89a")
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.storage.queues.send_run_process", refuse)
        assert api.post("/api/pipeline/", TIMELAPSE, headers=KEYED).status == 503
    assert records(aws) == []
    again = api.post("/api/pipeline/", TIMELAPSE, headers=KEYED)
    assert (again.status, again.json["id"], is_replayed(again)) == (202, 2, False)


def refuse(*_: Any) -> None:
    raise UnavailableError("The queue does not answer.")


def test_a_key_matters_only_where_something_is_posted(api: Api, calls: list[str]) -> None:
    target = api.target()
    calls.clear()
    for _ in range(2):
        assert api.get(TARGETS, headers=KEYED).status == 200
        assert api.patch(f"{TARGETS}{target}/", {"ra": 1}, headers=KEYED).status == 200
    assert "PutItem" not in calls


@pytest.mark.parametrize(("path", "body"), [(EVENTS, {"name": "GW150914"}), (GROUPS, {"name": "Good"})])
def test_a_repetition_that_comes_while_the_first_is_at_work_is_409(
    api: Api, aws: Aws, path: str, body: dict[str, Any]
) -> None:
    impatient: list[Answer] = []
    waiting = [lambda: impatient.extend(api.post(path, each, headers=KEYED) for each in (body, {"name": "Another"}))]
    happen = lambda **_: waiting.pop()() if waiting else None  # noqa: E731
    clients.dynamodb().meta.events.register("before-call.dynamodb.TransactWriteItems", happen)
    assert api.post(path, body, headers=KEYED).status == 201
    busy, other = impatient
    assert (busy.status, busy.headers["retry-after"]) == (409, "2")
    assert message(busy) == "The first request with this Idempotency-Key has not ended yet."
    assert (other.status, message(other)) == (422, REUSED)


def test_of_twenty_who_send_the_same_at_once_one_is_done(api: Api, at_once: Callable[..., list[Answer]]) -> None:
    answers = at_once(lambda _: api.post(GROUPS, {"name": "Good"}, headers=KEYED), range(20))
    assert {answer.status for answer in answers} <= {201, 409}
    assert [answer.status for answer in answers if not is_replayed(answer)].count(201) == 1
    assert api.get(GROUPS).json["count"] == 1
    assert is_replayed(api.post(GROUPS, {"name": "Good"}, headers=KEYED))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (EVENTS, {"name": "GW150914"}),
        ("/api/v1/productions/GW1", {"name": "Prod_A", "pipeline": "bilby"}),
        (TARGETS, M13),
        (GROUPS, {"name": "Good"}),
        ("/api/dataproducts/", {"target": 1, "filename": "b.fits", "size": 2880}),
        ("/api/pipeline/", TIMELAPSE),
    ],
)
def test_a_creation_that_dies_anywhere_is_repeated_and_done_once(
    api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    api.post(EVENTS, {"name": "GW1"})
    api.upload(api.target("M 31"), "a.gif", b"GIF89a")
    killer = Killer(monkeypatch)
    send = lambda: api.post(path, body, headers=KEYED)  # noqa: E731
    kept = {item["pk"]["S"] + item["sk"]["S"] for item in (*aws.items(), *aws.items("sidereal-ledger"))}
    for dying_step in range(1, 20):
        killer.run(send, dying_step)
        (record,) = records(aws)
        if record["status"] == "COMPLETED":
            break
        assert send().status == 409
        end_time(aws)
        assert api.post(path, {**body, "name": "Another"}, headers=KEYED).status == 422
    made = [
        item for item in (*aws.items(), *aws.items("sidereal-ledger")) if item["pk"]["S"] + item["sk"]["S"] not in kept
    ]
    kinds = [re.sub(r"[#\d].*", "", item["pk"]["S"]) for item in made if not item["pk"]["S"].startswith("TARGET#1")]
    assert kinds
    assert len(kinds) == len(set(kinds)), "something is there twice"
    told = send()
    assert (told.status, is_replayed(told)) == (202 if "pipeline" in path else 201, True)


def test_after_a_crash_the_reply_is_that_of_the_record_which_is_there(
    api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction that creates is the third step: reserved, id, created."""
    Killer(monkeypatch).run(lambda: api.post(GROUPS, {"name": "Good"}, headers=KEYED), 3)
    again = api.post(GROUPS, {"name": "Good"}, headers=KEYED)
    assert (again.status, again.json, is_replayed(again)) == (201, api.get(f"{GROUPS}1/").json, True)
    assert again.headers["location"] == f"{GROUPS}1/"


def test_a_key_that_is_over_begins_anew(api: Api, aws: Aws) -> None:
    api.post(GROUPS, {"name": "Good"}, headers=KEYED)
    end_time(aws, "expiration")
    answer = api.post(GROUPS, {"name": "Better"}, headers=KEYED)
    assert (answer.status, answer.json["id"], is_replayed(answer)) == (201, 2, False)


def test_no_key_can_be_over_while_its_request_is_at_work() -> None:
    timeout_hours = timeouts_s()["api"] / 3600
    for hours in (0, 0.001, timeout_hours):
        with pytest.raises(ValidationError):
            Settings.model_validate({"idempotency_hours": hours})
    Settings.model_validate({"idempotency_hours": 0.02})


def test_the_largest_reply_is_kept_whole(api: Api, aws: Aws) -> None:
    """Of what an event takes, random letters are what can be compressed least; others are kept as `\\u1234`."""
    noise = "".join(
        random.Random(7).choices([chr(code) for code in range(33, 127) if chr(code) not in '\\"'], k=379_900)
    )
    body = {"name": "GW150914", "meta": {"noise": noise}}
    first = api.post(EVENTS, body, headers=KEYED)
    again = api.post(EVENTS, body, headers=KEYED)
    assert (first.status, again.text, is_replayed(again)) == (201, first.text, True)
    assert len(first.text) > 379_900
    assert len(records(aws)[0]["data"]) < 330_000


def test_where_nothing_can_be_kept_nothing_is_done(api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDEMPOTENCY_TABLE", "not-there")
    get_settings.cache_clear()
    answer = api.post(GROUPS, {"name": "Good"}, headers=KEYED)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.json == {"detail": "Requests with an Idempotency-Key cannot be taken at the moment; try again."}
    assert api.get(GROUPS).json["count"] == 0


def test_who_has_earned_a_reply_gets_it_although_it_cannot_be_kept(
    api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.upload(api.target(), "a.gif", b"GIF89a")
    api.post("/api/pipeline/", TIMELAPSE)
    with monkeypatch.context() as patch:
        patch.setattr(idempotency.Attempt, "_done", lambda *_: 1 / 0)
        assert api.post("/api/pipeline/1/cancel/", headers=KEYED).json["failure_message"] == "Cancelled by tester"
    assert api.post("/api/pipeline/1/cancel/", headers=KEYED).status == 409
    end_time(aws)
    late = api.post("/api/pipeline/1/cancel/", headers=KEYED)
    assert (late.status, late.json) == (409, {"detail": "The process has ended already."})


def test_an_upload_is_signed_anew_and_no_signature_is_kept(api: Api, aws: Aws, clock: Clock) -> None:
    body = {"target": api.target(), "filename": "a.fits", "size": 2880}
    first = api.post("/api/dataproducts/", body, headers=KEYED)
    clock.advance(600)
    again = api.post("/api/dataproducts/", body, headers=KEYED)
    assert is_replayed(again)
    assert again.json | {"upload": None} == first.json | {"upload": None}
    forms = [answer.json["upload"]["fields"] for answer in (first, again)]
    assert forms[0]["key"] == forms[1]["key"] == "uploads/1/1/a.fits"
    assert all(set(form) > {"policy", "x-amz-signature"} for form in forms)
    (record,) = records(aws)
    assert record["reply"]["upload"] == ["uploads/1/1/a.fits", 2880, int(clock().timestamp()) + 3000]
    assert not re.search("policy|signature", str(record["reply"]).lower())
    assert int(record["expiration"]) < int(record["in_progress_expiration"]) / 1000 + 3600, "kept as long as the upload"


def test_nothing_that_was_sent_is_kept_but_digests(api: Api, aws: Aws) -> None:
    """A file's content is in no reply, so it would be in the record only if the request were."""
    api.target()
    upload(api, "a.gif", "GIF89a of a secret", **KEYED)
    (record,) = records(aws)
    text = str({**record, "data": None})
    assert not any(word in text for word in ("secret", KEYED["Idempotency-Key"], TOKEN))
    assert re.fullmatch("POST#[0-9a-f]{64}", record["id"])
    assert re.fullmatch("[0-9a-f]{64}", record["validation"])


def test_an_attempt_that_outlived_its_time_does_nothing_more(aws: Aws) -> None:
    def begin_and_be_replaced(attempt: idempotency.Attempt) -> dict[str, Any]:
        end_time(aws)
        idempotency.perform("identity", "body", lambda _: {"by": "another"}, LambdaContext("api", 29))
        idempotency.requests.transact([attempt.seal({"by": "me"})])
        return {"by": "me"}

    with pytest.raises(StillAtWorkError):
        idempotency.perform("identity", "body", begin_and_be_replaced, LambdaContext("api", 29))
    assert [record["reply"] for record in records(aws)] == [{"by": "another"}]


def test_an_attempt_whose_beginning_got_no_answer_is_not_taken_for_anothers(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = clients.dynamodb().put_item
    twice = lambda **arguments: (put(**arguments), put(**arguments))[1]  # noqa: E731
    monkeypatch.setattr(clients.dynamodb(), "put_item", twice)
    assert idempotency.perform("identity", "body", lambda _: {"a": 1}, LambdaContext("api", 29)) == {"a": 1}


def test_pages_of_other_origins_may_send_a_key_and_see_what_is_replayed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://example.org")
    get_settings.cache_clear()
    origin = {"Origin": "https://example.org"}
    preflight = api.request("OPTIONS", GROUPS, headers=origin)
    assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"].split(", ")
    answer = api.post(GROUPS, {"name": "Good"}, headers=origin)
    assert "Idempotency-Replayed" in answer.headers["access-control-expose-headers"].split(", ")
