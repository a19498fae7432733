"""The WSGI adapter: what the app sees of a request, and what the client sees of its answer."""

import base64
import io
import json
import threading
import time
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from local import wsgi
from local.context import LambdaContext
from local.wsgi import Gateway

ROUTES = ["/", "/items", "/items/{name}", "/items/latest", "/items/{name}/parts/{part}", "/api/v1/events/{event_name}"]


class Recorder:
    """A Lambda function that keeps its events and answers what it is told to."""

    def __init__(self, result: dict[str, Any] | None = None) -> None:
        self.result = result or {"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": "hello"}
        self.events: list[dict[str, Any]] = []
        self.contexts: list[LambdaContext] = []

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        self.events.append(event)
        self.contexts.append(context)
        return self.result


class Answer:
    """One HTTP answer."""

    def __init__(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = int(status.split()[0])
        self.reason = status
        self.header_list = headers
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body


def call(
    function: Any, path: str, method: str = "GET", body: bytes = b"", routes: Any = ROUTES, **environ: Any
) -> Answer:
    binary_types = frozenset({"multipart/form-data", "image/gif"})
    return send(Gateway(function, routes, binary_types), path, method, body, **environ)


def send(app: Any, path: str, method: str = "GET", body: bytes = b"", **environ: Any) -> Answer:
    raw, _, query = path.partition("?")
    full: dict[str, Any] = {"REQUEST_METHOD": method, "RAW_URI": path, "QUERY_STRING": query, "PATH_INFO": raw}
    setup_testing_defaults(full)
    full.update({"wsgi.input": io.BytesIO(body), "REMOTE_ADDR": "192.0.2.7", "HTTP_HOST": "example.org:8000"})
    if body:
        full["CONTENT_LENGTH"] = str(len(body))
    full.update(environ)
    full = {name: value for name, value in full.items() if value is not None}
    started: list[tuple[str, list[tuple[str, str]]]] = []
    content = b"".join(app(full, lambda status, headers, *_: started.append((status, headers))))
    return Answer(*started[0], content)


def event_of(path: str, **arguments: Any) -> dict[str, Any]:
    recorder = Recorder()
    assert call(recorder, path, **arguments).status == 200
    return recorder.events[0]


def test_the_event_names_resource_path_method_and_caller() -> None:
    event = event_of("/items/a/parts/b?x=1", method="PUT", HTTP_USER_AGENT="curl")

    assert (event["resource"], event["path"], event["httpMethod"]) == (
        "/items/{name}/parts/{part}",
        "/items/a/parts/b",
        "PUT",
    )
    context = event["requestContext"]
    assert (context["resourcePath"], context["path"]) == ("/items/{name}/parts/{part}", "/items/a/parts/b")
    assert context["httpMethod"] == "PUT"
    assert context["identity"] == {"sourceIp": "192.0.2.7", "userAgent": "curl"}
    assert context["stage"] == "local"
    assert len(context["requestId"]) == 36
    assert event["pathParameters"] == {"name": "a", "part": "b"}


@pytest.mark.parametrize(
    "raw", ["a%2Fb", "a%20b", "%C3%BC", "a%25b", "a+b", "a%3Fb", "GW150914", "a:b@c", "~-._", "a%2fb"]
)
def test_path_parameters_stay_as_the_client_encoded_them(raw: str) -> None:
    assert event_of(f"/items/{raw}")["pathParameters"] == {"name": raw}


def test_bytes_that_were_not_encoded_are_encoded() -> None:
    assert event_of("/items/é".encode().decode("latin-1"))["pathParameters"] == {"name": "%C3%A9"}


def test_without_the_raw_address_the_decoded_path_is_encoded_again() -> None:
    path = "/items/50% ü".encode().decode("latin-1")

    assert event_of("/", RAW_URI=None, PATH_INFO=path)["pathParameters"] == {"name": "50%25%20%C3%BC"}


def test_request_uri_serves_where_raw_uri_is_missing() -> None:
    event = event_of("/", RAW_URI=None, REQUEST_URI="/items/a%2Fb?x=1", PATH_INFO="/items/a/b")

    assert event["pathParameters"] == {"name": "a%2Fb"}


def test_an_absolute_address_is_cut_to_its_path() -> None:
    assert event_of("/", RAW_URI="http://example.org/items/x%20y?z=1")["path"] == "/items/x%20y"


def test_a_fixed_segment_wins_over_a_parameter() -> None:
    assert event_of("/items/latest")["resource"] == "/items/latest"


@pytest.mark.parametrize(("path", "resource"), [("/items/", "/items"), ("/items/a/", "/items/{name}"), ("/", "/")])
def test_one_trailing_slash_is_tolerated(path: str, resource: str) -> None:
    assert event_of(path)["resource"] == resource


@pytest.mark.parametrize(
    "path", ["/nothing", "/items//", "/items/a//parts/b", "//items", "/items/a/parts", "/api/v1x/events/a"]
)
def test_an_unknown_path_is_404_in_the_telescope_family(path: str) -> None:
    answer = call(Recorder(), path)

    assert answer.status == 404
    assert json.loads(answer.body) == {"detail": "Not found."}
    assert answer.headers["content-type"] == "application/json"


def test_an_unknown_path_is_404_in_the_asimov_family_under_its_prefix() -> None:
    answer = call(Recorder(), "/api/v1/nothing", method="POST", body=b"{}")

    assert answer.status == 404
    assert json.loads(answer.body) == {"error": "Resource not found"}


def test_query_values_are_decoded_and_repeated_keys_kept() -> None:
    event = event_of("/items?a=1&a=2&b=x%20y%2Bz+w&c=&d=%C3%BC")

    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["x y+z w"], "c": [""], "d": ["ü"]}
    assert event["queryStringParameters"]["a"] == "2"


def test_without_a_query_or_parameters_there_is_null() -> None:
    event = event_of("/items")

    assert event["multiValueQueryStringParameters"] is None
    assert event["queryStringParameters"] is None
    assert event["pathParameters"] is None
    assert event["body"] is None
    assert event["isBase64Encoded"] is False


def test_headers_come_with_those_that_api_gateway_adds() -> None:
    event = event_of("/items", HTTP_X_THING="1, 2", CONTENT_TYPE="application/json", SERVER_PORT="8000")

    assert event["headers"]["x-thing"] == "1, 2"
    assert event["multiValueHeaders"]["x-thing"] == ["1, 2"]
    assert event["headers"]["content-type"] == "application/json"
    assert event["headers"]["host"] == "example.org:8000"
    assert event["headers"]["x-forwarded-proto"] == "http"
    assert event["headers"]["x-forwarded-for"] == "192.0.2.7"


def test_a_proxy_may_have_said_how_the_client_came() -> None:
    assert event_of("/items", HTTP_X_FORWARDED_PROTO="https")["headers"]["x-forwarded-proto"] == "https"


def test_text_stays_text() -> None:
    event = event_of("/items", method="POST", body='{"a": "ü"}'.encode(), CONTENT_TYPE="application/json")

    assert (event["body"], event["isBase64Encoded"]) == ('{"a": "ü"}', False)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ('multipart/form-data; boundary="x"', b"--x--"),
        ("Multipart/Form-Data; boundary=x", b"--x--"),
        ("application/json", b"\xff\xfe"),
        ("", bytes(range(256))),
    ],
)
def test_what_is_no_text_travels_in_base64(content_type: str, body: bytes) -> None:
    event = event_of("/items", method="POST", body=body, CONTENT_TYPE=content_type)

    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == body


def test_a_chunked_body_is_read_to_its_end() -> None:
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": None, "wsgi.input": io.BytesIO(b"x" * 200_000)}

    assert event_of("/items", method="POST", **environ)["body"] == "x" * 200_000


def test_without_length_or_end_there_is_no_body() -> None:
    assert event_of("/items", method="POST", **{"wsgi.input": io.BytesIO(b"rest of the socket")})["body"] is None


def test_only_the_announced_length_is_read() -> None:
    environ = {"CONTENT_LENGTH": "3", "wsgi.input": io.BytesIO(b"abcdef")}

    assert event_of("/items", method="POST", **environ)["body"] == "abc"


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(("path", "key"), [("/items", "detail"), ("/api/v1/events/a", "error"), ("/nothing", "detail")])
def test_a_body_above_the_limit_is_413(monkeypatch: pytest.MonkeyPatch, path: str, key: str, is_chunked: bool) -> None:
    monkeypatch.setattr(wsgi, "MAX_BODY_BYTES", 100_000)
    recorder = Recorder()
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": None} if is_chunked else {}

    answer = call(recorder, path, method="POST", body=b"x" * 100_001, **environ)

    assert answer.status == 413
    assert list(json.loads(answer.body)) == [key]
    assert recorder.events == []


def test_a_body_at_the_limit_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi, "MAX_BODY_BYTES", 100_000)

    assert event_of("/items", method="POST", body=b"x" * 100_000)["body"] == "x" * 100_000


def test_a_refused_body_is_drained_so_that_the_client_reads_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi, "MAX_BODY_BYTES", 10)
    monkeypatch.setattr(wsgi, "DRAIN_BYTES", 300_000)
    stream = io.BytesIO(b"x" * 500_000)

    assert call(Recorder(), "/items", "POST", **{"CONTENT_LENGTH": "500000", "wsgi.input": stream}).status == 413
    assert stream.tell() == 300_000


def test_the_answer_carries_status_headers_and_body() -> None:
    result = {"statusCode": 201, "headers": {"Location": "/items/1", "Content-Type": "text/plain"}, "body": "ü"}

    answer = call(Recorder(result), "/items", method="POST")

    assert answer.reason == "201 Created"
    assert answer.headers["location"] == "/items/1"
    assert answer.body == "ü".encode()
    assert answer.headers["content-length"] == "2"


def test_binary_answers_are_decoded() -> None:
    result = {
        "statusCode": 200,
        "headers": {},
        "body": base64.b64encode(b"GIF89a\xff").decode(),
        "isBase64Encoded": True,
    }

    answer = call(Recorder(result), "/items")

    assert answer.body == b"GIF89a\xff"
    assert answer.headers["content-length"] == "7"


def test_multi_value_headers_replace_single_ones() -> None:
    result = {
        "statusCode": 200,
        "headers": {"set-cookie": "a=1", "X": "1"},
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
        "body": "",
    }

    answer = call(Recorder(result), "/items")

    assert [value for name, value in answer.header_list if name.lower() == "set-cookie"] == ["a=1", "b=2"]
    assert answer.headers["x"] == "1"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_some_answers_have_no_body(method: str, status: int) -> None:
    recorder = Recorder({"statusCode": status, "headers": {"Content-Length": "5"}, "body": "hello"})

    answer = call(recorder, "/items", method=method)

    assert answer.body == b""
    assert "content-length" not in answer.headers
    assert recorder.events[0]["httpMethod"] == method


def test_a_status_without_a_name_is_passed_on() -> None:
    assert call(Recorder({"statusCode": 299, "headers": None, "body": None}), "/items").reason == "299 Unknown"


def test_a_function_that_raises_is_500_without_its_text() -> None:
    def function(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        raise RuntimeError("a secret")

    answer = call(function, "/api/v1/events/a")

    assert answer.status == 500
    assert json.loads(answer.body) == {"error": "Internal server error"}


def test_every_invocation_has_a_context_of_its_own() -> None:
    recorder = Recorder()
    gateway = Gateway(recorder, ROUTES)
    send(gateway, "/items")
    send(gateway, "/items")

    first, second = recorder.contexts
    assert first.aws_request_id != second.aws_request_id
    assert 0 < first.get_remaining_time_in_millis() <= 29_000
    assert first.function_name == "api_handler"
    assert first.invoked_function_arn.endswith(":function:api_handler")
    assert first.memory_limit_in_mb > 0


def test_one_invocation_at_a_time() -> None:
    running: list[int] = []
    most: list[int] = []

    def function(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        running.append(1)
        most.append(len(running))
        time.sleep(0.005)
        running.pop()
        return {"statusCode": 200, "body": ""}

    gateway = Gateway(function, ROUTES)
    threads = [threading.Thread(target=send, args=(gateway, "/items")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(most) == 8
    assert max(most) == 1


def test_the_app_answers_behind_the_adapter() -> None:
    app = wsgi.create_app()

    answer = send(app, "/api/v1/health")

    assert answer.status == 200
    assert json.loads(answer.body) == {"status": "ok", "version": "v1"}
    assert send(app, "/api/v1/events", method="OPTIONS").status == 204
    assert send(app, "/api/v1/health", method="DELETE").status == 405


def test_without_a_key_the_app_refuses_to_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ASIMOV_API_KEY")

    with pytest.raises(SystemExit) as caught:
        wsgi.create_app()

    assert caught.value.code == wsgi.REFUSED_TO_START
    assert "ASIMOV_API_KEY=" in capsys.readouterr().err
