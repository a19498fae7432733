"""One client of the load benchmark: mixed reads and writes of both APIs, over one kept-alive connection.

A request is timed from its first byte to the last of its answer. What the client is told is remembered, to be looked for in
the tables afterwards.
"""

import json
import random
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

from benchmarks.load_tally import Told
from benchmarks.serving import TOKEN

TIMEOUT_S = 30
FILE = b"SIMPLE  =                    T" + b" " * 994
"""What is uploaded: small, and FITS as far as anybody looks."""

PAGE = 20
AGAIN_TRIES, AGAIN_S = 40, 0.5


@dataclass(frozen=True)
class Shared:
    """What all clients work on together.

    Parameters
    ----------
    events : tuple of str
        Events whose `meta` everybody changes.
    groups : tuple of int
        Groups that everybody's products join and leave.
    target, process : int
        A target with a process that has ended, to be asked for its status.
    """

    events: tuple[str, ...]
    groups: tuple[int, ...]
    target: int
    process: int


@dataclass(frozen=True)
class Sample:
    """One request that was answered: what for, and how long it took, s."""

    name: str
    is_write: bool
    seconds: float


class UnexpectedError(Exception):
    """Raised when a request has no answer, or not the one it should have."""


class Connection:
    """A kept-alive connection to the server."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection = HTTPConnection(address, timeout=TIMEOUT_S)

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
        """Send a request; return the status of its answer, and its body.

        Raises
        ------
        UnexpectedError
            If there is no answer.
        """
        try:
            self._connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}", **headers})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise UnexpectedError(f"no answer: {error!r}") from error
        return answer.status, json.loads(content) if content else None

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """Send JSON, and return what was made of it.

        Raises
        ------
        UnexpectedError
            If nothing was.
        """
        status, answer = self.send("POST", path, _text(body), {"Content-Type": "application/json", **headers})
        if status not in (200, 201, 202):
            raise UnexpectedError(f"POST {path}: {status} {str(answer)[:200]}")
        return answer

    def post_twice(self, path: str, body: Any, cut_after_s: float) -> Any:
        """Send JSON, hang up before the answer comes, and send it again with the same `Idempotency-Key`.

        Raises
        ------
        UnexpectedError
            If there is no answer in the end, either.
        """
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        self._send_and_hang_up(path, _text(body), headers, cut_after_s)
        for _ in range(AGAIN_TRIES):
            status, answer = self.send("POST", path, _text(body), headers)
            if status in (201, 202):
                return answer
            if status != 409:
                break
            time.sleep(AGAIN_S)  # the first one is still at work
        raise UnexpectedError(f"POST {path} again: {status} {str(answer)[:200]}")

    def _send_and_hang_up(self, path: str, body: bytes, headers: dict[str, str], after_s: float) -> None:
        connection = HTTPConnection(self._address, timeout=TIMEOUT_S)
        try:
            connection.request("POST", path, body, {"Authorization": f"Bearer {TOKEN}", **headers})
            time.sleep(after_s)
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            raise UnexpectedError(f"no connection to cut: {error!r}") from error
        finally:
            connection.close()


def multipart(target: int, name: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of an upload."""
    boundary = uuid.uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="target"\r\n\r\n{target}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/fits\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


@dataclass
class Client:
    """One client.

    Parameters
    ----------
    connection : Connection
        To the server.
    number : int
        Names everything that this client makes.
    shared : Shared
        What it shares with the others.
    seed : int
        Of what it does.
    """

    connection: Connection
    number: int
    shared: Shared
    seed: int = 1
    told: Told = field(default_factory=Told)
    samples: list[Sample] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    repeated: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed * 1_000 + self.number)
        self._count = 0
        self._events: list[str] = []
        self._productions: list[tuple[str, str]] = []
        self._products: list[int] = []
        self._members: list[tuple[int, int]] = []
        self._targets: list[int] = []

    def run(self, seconds: float) -> None:
        """Send one request after the other until the time is over."""
        reads, writes = self._actions()
        actions, weights = zip(*(reads | writes).items(), strict=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self._random.choices(actions, weights)[0]()
            except UnexpectedError as error:
                self.errors.append(str(error))

    def _actions(self) -> tuple[dict[Callable[[], None], int], dict[Callable[[], None], int]]:
        """Return what the client does, and how often: reads, and writes."""
        reads = {
            self._get_event: 15,
            self._list_events: 8,
            self._list_productions: 6,
            self._get_target: 8,
            self._get_target_detail: 5,
            self._list_products: 5,
            self._poll_status: 8,
            self._poll_process: 5,
        }
        writes = {
            self._create_event: 6,
            self._change_meta: 12,
            self._create_production: 5,
            self._change_production: 3,
            self._delete_event: 1,
            self._create_target: 3,
            self._upload: 5,
            self._change_group: 4,
            self._create_group_twice: 1,
        }
        return reads, writes

    # Reads

    def _get_event(self) -> None:
        name = self._random.choice([*self._events, *self.shared.events])
        found = self._send("GET", f"/api/v1/events/{name}")["event"]
        self._expect(found["name"] == name, f"asked for {name}, got {found['name']}")

    def _list_events(self) -> None:
        page = [event["name"] for event in self._send("GET", f"/api/v1/events/?limit={PAGE}")["events"]]
        self._expect(len(page) == len(set(page)), "a page of events has one twice")

    def _list_productions(self) -> None:
        event = self._random.choice([*self._events, *self.shared.events])
        self._send("GET", f"/api/v1/events/{event}/productions", name="GET productions")

    def _get_target(self) -> None:
        self._send("GET", f"/api/targets/{self._some_target()}/")

    def _get_target_detail(self) -> None:
        self._send("GET", f"/api/target/{self._some_target()}/")

    def _list_products(self) -> None:
        self._send("GET", f"/api/dataproducts/?target={self._some_target()}&limit={PAGE}")

    def _poll_status(self) -> None:
        self._send("GET", f"/api/async/status/{self.shared.target}/")

    def _poll_process(self) -> None:
        self._send("GET", f"/api/pipeline/{self.shared.process}/")

    # Writes

    def _create_event(self) -> None:
        name = self._new_name("E")
        self._send("POST", "/api/v1/events/", {"name": name, "meta": {"gps_time": 1126259462.4}}, status=201)
        self._events.append(name)
        self.told.add("events", name)

    def _change_meta(self) -> None:
        event, key = self._random.choice(self.shared.events), self._new_name("k")
        self._send("PUT", f"/api/v1/events/{event}", {"meta": {key: self._count}})
        self.told.add("keys of meta", f"{event} {key}={self._count}")

    def _create_production(self) -> None:
        event, name = self._random.choice([*self._events, *self.shared.events]), self._new_name("P")
        self._send("POST", f"/api/v1/productions/{event}", {"name": name, "pipeline": "bilby"}, status=201)
        self._productions.append((event, name))
        self.told.add("productions", f"{event} {name}")

    def _change_production(self) -> None:
        if not self._productions:
            return
        event, name = self._random.choice(self._productions)
        self._send("PUT", f"/api/v1/productions/{event}/{name}", {"status": "running", "meta": {"n": self._count}})

    def _delete_event(self) -> None:
        if not self._events:
            return
        name = self._events.pop(self._random.randrange(len(self._events)))
        self._send("DELETE", f"/api/v1/events/{name}", status=204)
        self.told.remove("events", name)
        for event, production in [each for each in self._productions if each[0] == name]:
            self._productions.remove((event, production))
            self.told.remove("productions", f"{event} {production}")

    def _create_target(self) -> None:
        name = self._new_name("T")
        target = self._send("POST", "/api/targets/", {"name": name, "ra": 12.5, "dec": -60.25}, status=201)["id"]
        self._targets.append(target)
        self.told.add("targets", f"{target} {name}")

    def _upload(self) -> None:
        target, name = self._some_target(), f"{self._new_name('f')}.fits"
        body, headers = multipart(target, name, FILE)
        made = self._send("POST", "/api/dataproducts/", body, status=201, headers=headers)
        self._products.append(made["id"])
        self.told.add("data products", f"{made['id']} {name}")
        self.told.add("files", f"products/{target}/{made['id']}/{name}")

    def _change_group(self) -> None:
        if not self._products:
            return
        if self._members and self._random.random() < 0.3:
            group, product = self._members.pop(self._random.randrange(len(self._members)))
            self._send("PATCH", f"/api/dataproductgroups/{group}/", {"remove": [product]})
            self.told.remove("members of groups", f"{group} {product}")
            return
        group, product = self._random.choice(self.shared.groups), self._random.choice(self._products)
        self._send("PATCH", f"/api/dataproductgroups/{group}/", {"add": [product]})
        if (group, product) not in self._members:
            self._members.append((group, product))
            self.told.add("members of groups", f"{group} {product}")

    def _create_group_twice(self) -> None:
        """Lose the answer, and ask again with the same key until there is one: there must be one group."""
        name = self._new_name("G")
        made = self.connection.post_twice("/api/dataproductgroups/", {"name": name}, self._random.uniform(0, 0.3))
        self.told.add("groups", f"{made['id']} {name}")
        self.repeated += 1

    # Below: what these stand on

    def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        name: str = "",
    ) -> Any:
        content = body if body is None or isinstance(body, bytes) else _text(body)
        headers = headers or ({"Content-Type": "application/json"} if content is not None else {})
        started = time.perf_counter()
        got, answer = self.connection.send(method, path, content, headers)
        seconds = time.perf_counter() - started
        self._expect(got == status, f"{method} {path}: {got} {str(answer)[:200]}")
        self.samples.append(Sample(name or _name_of(method, path), method != "GET", seconds))
        return answer

    def _expect(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            raise UnexpectedError(otherwise)

    def _new_name(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self.number}-{self._count}"

    def _some_target(self) -> int:
        return self._random.choice([*self._targets, self.shared.target])


def _text(body: Any) -> bytes:
    return json.dumps(body).encode()


def _name_of(method: str, path: str) -> str:
    """Return the path of a request without its names and numbers."""
    path = path.partition("?")[0].strip("/")
    parts = [part for part in path.split("/") if part not in ("api", "v1")]
    kind = "/".join(parts[:2]) if parts[0] == "async" else parts[0]
    is_one = len(parts) > (2 if parts[0] == "async" else 1)
    return f"{method} {kind}{' <one>' if is_one else ''}"
