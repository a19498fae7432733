"""What the command line and the demonstration share: the client, its errors, forms and streams."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from local.client import Client
from local.faults import ClientError, NotSiderealError, RefusedError, UnreachableError, UnreadableError, error_text
from local.following import MAX_FAULTS, Message, Reading, follow
from local.forms import Form
from local.uploads import NoFramesError, Uploads, find_files, find_frames

Answer = tuple[int, dict[str, str], str]


def reply_of(answer: Answer) -> requests.Response:
    reply = requests.Response()
    reply.status_code, reply._content = answer[0], answer[2].encode()
    reply.headers.update(answer[1])
    reply.encoding, reply._content_consumed = "utf-8", True
    return reply


class Server:
    """Answers what it was told to, in turn; an exception is raised instead."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers, self.asked, self.slept = list(answers), list[tuple[str, str, dict[str, Any]]](), list[float]()
        self.client = Client("https://api.example.org/dev", "key", self.slept.append)
        self.client._session.request = self._answer  # type: ignore[method-assign, assignment]

    def _answer(self, method: str, url: str, **request: Any) -> requests.Response:
        self.asked.append((method, url, request))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return reply_of(answer)


JSON = {"Content-Type": "application/json"}
GOOD: Answer = (200, JSON, '{"id": 7}')
BUSY: Answer = (503, {**JSON, "Retry-After": "3"}, '{"detail": "busy"}')


def test_files_beside_frames_are_left_out(tmp_path: Path) -> None:
    for name in ("b.fits", "a b ü.FITS", "c.fits.fz", "d", "README.md", "MANIFEST.json", ".hidden", "notes.TXT"):
        (tmp_path / name).touch()
    (tmp_path / "folder.fits").mkdir()

    assert [file.name for file in find_frames(tmp_path)] == ["a b ü.FITS", "b.fits", "c.fits.fz", "d"]


def test_a_folder_without_frames_is_told(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()

    with pytest.raises(NoFramesError, match="no frames"):
        find_frames(tmp_path)
    with pytest.raises(NoFramesError, match="no folder"):
        find_frames(tmp_path / "missing")
    with pytest.raises(NoFramesError, match="no file"):
        find_files([Path(__file__), tmp_path / "missing.fits"])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"detail": "Not found."}, "Not found."),
        ({"error": "Event not found"}, "Event not found"),
        ({"message": "Missing Authentication Token"}, "Missing Authentication Token"),
        ({"name": ["too long", "odd"], "ra": ["missing"]}, "name: too long odd; ra: missing"),
        ({"options": {"fps": ["too many"]}}, "options.fps: too many"),
        (
            {
                "error": "Validation error",
                "details": [{"loc": ["name"], "msg": "must not be empty", "type": "x"}, {"loc": [], "msg": "odd"}],
            },
            "name: must not be empty; odd",
        ),
    ],
)
def test_both_families_of_errors_name_the_fields(body: Any, text: str) -> None:
    assert error_text(reply_of((400, JSON, json.dumps(body)))) == text


def test_an_error_that_is_no_json_is_told_in_one_line() -> None:
    assert error_text(reply_of((502, {}, "<html>\n bad\x00 gateway"))) == "<html> bad\x00 gateway"
    assert str(RefusedError("GET", "/x", 404, "Not found.")) == "GET /x answered 404: Not found."


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_busy_server_is_asked_again_when_it_says_with_the_same_key(method: str) -> None:
    server = Server(BUSY, (429, {**JSON, "Retry-After": "5"}, "{}"), requests.ConnectionError(), GOOD)

    assert server.client.call(method, "/api/pipeline/") == {"id": 7}

    assert server.slept == [3, 5, 2]
    keys = {request["headers"].get("Idempotency-Key") for _, _, request in server.asked}
    assert len(keys) == 1
    assert (keys == {None}) == (method == "GET")


def test_a_lost_answer_is_asked_for_once_more() -> None:
    server = Server(requests.ConnectionError(), GOOD)

    assert server.client.call("POST", "/api/pipeline/") == {"id": 7}
    assert len({request["headers"]["Idempotency-Key"] for _, _, request in server.asked}) == 1


def test_what_must_not_be_done_twice_is_not_sent_again() -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        server = Server(BUSY)
        with pytest.raises(RefusedError) as refusal:
            server.client.call(method, "/api/targets/1/")
        assert (refusal.value.retry_after, server.slept) == ("3", [])


def test_a_server_that_stays_busy_is_given_up() -> None:
    server = Server(*[BUSY] * 50)

    with pytest.raises(RefusedError, match="503: busy"):
        server.client.call("GET", "/api/targets/")
    assert sum(server.slept) <= 40
    server = Server((503, {**JSON, "Retry-After": "3600"}, "{}"))
    with pytest.raises(RefusedError):
        server.client.call("GET", "/api/targets/")
    assert server.slept == []


def test_the_key_goes_with_writes_only() -> None:
    server = Server(GOOD, GOOD)
    for method in ("GET", "POST"):
        server.client.call(method, "/api/targets/")
    sent = []
    for method, url, request in server.asked:
        prepared = requests.Request(method, url).prepare()
        sent.append(request["auth"](prepared).headers.get("Authorization"))
    assert sent == [None, "Bearer key"]


def test_who_answers_html_is_no_sidereal() -> None:
    for status in (200, 404):
        with pytest.raises(NotSiderealError, match="is no Sidereal"):
            Server((status, {"Content-Type": "text/html"}, "<html>")).client.call("GET", "/api/v1/health")


def test_a_gateway_that_knows_no_such_address_makes_one_look_at_the_stage() -> None:
    not_found = '{"detail": "Not found."}'
    of_a_view = {**JSON, "X-Request-Id": "1"}
    for status, headers, text, told in (
        (404, JSON, not_found, "end in its stage"),
        (404, of_a_view, not_found, "answered 404: Not found."),
        (403, JSON, '{"message": "Forbidden"}', "end in its stage"),
        (403, JSON, '{"detail": "Forbidden."}', "answered 403: Forbidden."),
    ):
        with pytest.raises(ClientError, match=told):
            Server((status, headers, text)).client.call("GET", "/api/pipeline/7/")
        with pytest.raises(ClientError, match=told):
            Server((status, headers, text)).client.stream("/api/pipeline/7/stream", {})


def test_who_interrupts_uploads_does_not_wait_for_a_busy_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file := tmp_path / "a.fits").touch()
    server, is_asked = Server((503, {**JSON, "Retry-After": "30"}, "{}")), threading.Event()
    answer = server._answer

    def answer_and_tell(*asked: Any, **request: Any) -> requests.Response:
        is_asked.set()
        return answer(*asked, **request)

    def interrupt(_: object) -> None:
        is_asked.wait()
        raise KeyboardInterrupt

    server.client._session.request = answer_and_tell  # type: ignore[method-assign]
    monkeypatch.setattr("local.uploads.as_completed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Uploads(server.client, 1).send([file])

    assert (len(server.asked), server.slept) == (1, [])


def test_lists_are_read_to_the_end_in_both_families_under_a_stage() -> None:
    onward = "https://api.example.org/dev/api/targets/?limit=500&next=a%2Fb"
    server = Server(
        (200, JSON, json.dumps({"results": [{"id": 1}, {"id": 2}], "next": onward})),
        (200, JSON, json.dumps({"results": [{"id": 3}], "next": None})),
        (200, JSON, json.dumps({"events": [{"name": "a"}], "next": "c="})),
        (200, JSON, json.dumps({"events": [{"name": "b"}, {"name": "c"}]})),
    )

    assert [each["id"] for each in server.client.pages("/api/targets/")] == [1, 2, 3]
    assert [each["name"] for each in server.client.pages("/api/v1/events/", "events", 2)] == ["a", "b"]
    assert [url.removeprefix("https://api.example.org/dev") for _, url, _ in server.asked] == [
        "/api/targets/?limit=500",
        "/api/targets/?limit=500&next=a%2Fb",
        "/api/v1/events/?limit=2",
        "/api/v1/events/?limit=1&next=c%3D",
    ]


def test_a_film_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:9")
    client._session.get = lambda *_, **__: reply_of((404, JSON, '{"detail": "Not found."}'))  # type: ignore[method-assign]

    with pytest.raises(RefusedError, match="404: Not found"):
        client.download("/data/a/none/t.gif", tmp_path / "t.gif")
    assert list(tmp_path.iterdir()) == []


def test_a_form_has_its_length_and_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / 'a "b" ü.fits'
    file.write_bytes(bytes(range(256)) * 3000)
    told: list[int] = []
    form = Form({"key": "ä"}, file, told.append)

    def read() -> bytes:
        return b"".join(iter(lambda: form.read(1 << 14), b""))

    first = read()
    form.rewind()
    assert read() == first
    assert len(form) == len(first)
    assert sum(told) == 768_000
    assert b'filename="a %22b%22 \xc3\xbc.fits"' in first


def test_a_file_that_becomes_shorter_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.fits"
    file.write_bytes(b"x" * 100)
    form = Form({}, file, lambda _: None)
    file.write_bytes(b"x" * 99)

    with pytest.raises(UnreadableError, match="shorter"):
        list(iter(form.read, b""))


BATCH = (
    b'retry: 20\r\n\r\nid: 1\nevent: log\ndata: {\ndata: "text": "\xc3\xbc\\n"}\n\n'
    b': a remark\n\nid: 2\nevent: process\ndata: {"status": "aligning"}\n\n'
)
MESSAGES = [Message("log", {"text": "ü\n"}, "1"), Message("process", {"status": "aligning"}, "2")]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_messages_are_read_however_they_are_cut_into_pieces(size: int) -> None:
    reading = Reading()

    assert list(reading.messages(BATCH[i : i + size] for i in range(0, len(BATCH), size))) == MESSAGES
    assert reading.retry_ms == 20


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Client, list[str | None]]]:
    """A client whose stream answers these batches, a shorter one being cut, and the ids with which it was asked."""

    def serve(*batches: bytes | int) -> tuple[Client, list[str | None]]:
        left, ids = list(batches), list[str | None]()

        def stream(_path: str, headers: dict[str, str]) -> requests.Response:
            ids.append(headers.get("Last-Event-ID"))
            batch = left.pop(0)
            if isinstance(batch, int):
                return reply_of((batch, {}, ""))
            reply = reply_of((200, {}, ""))

            def pieces(_size: int) -> Iterator[bytes]:
                yield batch
                if not batch.endswith(b"\n\n"):
                    raise requests.exceptions.ChunkedEncodingError

            reply.iter_content = pieces  # type: ignore[method-assign, assignment]
            return reply

        client = Client("http://127.0.0.1:9")
        monkeypatch.setattr(client, "stream", stream)
        return client, ids

    return serve


def test_a_stream_goes_on_where_it_was_cut(streaming: Callable[..., Any]) -> None:
    end = b"id: 3\nevent: end\ndata: {}\n\n"
    for cut in range(len(BATCH) - 1):
        known = BATCH[:cut].count(b"}\n\n")
        begins = [0, BATCH.index(b": a remark"), len(BATCH)][known]
        client, ids = streaming(BATCH[:cut], BATCH[begins:] + end)
        slept: list[float] = []

        assert list(follow(client, "/s", slept.append)) == [*MESSAGES, Message("end", {}, "3")]
        assert ids == [None, [None, "1", "2"][known]]
        assert len(slept) == 1


def test_a_stream_that_was_heard_to_its_end_is_over(streaming: Callable[..., Any]) -> None:
    client, _ = streaming(b"retry: 1\n\n", 204)

    assert list(follow(client, "/s", lambda _: None)) == []


def test_a_stream_that_nobody_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    client, slept = Client("http://127.0.0.1:9"), list[float]()

    def stream(*_: Any) -> Any:
        raise UnreachableError("http://127.0.0.1:9", requests.ConnectionError())

    monkeypatch.setattr(client, "stream", stream)
    with pytest.raises(UnreachableError, match="no server answers"):
        list(follow(client, "/s", slept.append))
    assert len(slept) == MAX_FAULTS - 1
