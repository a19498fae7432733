"""A portal and archive that answer what a test tells them to, over real HTTP on the loopback."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "0123456789abcdef0123456789abcdef01234567"

INSTRUMENTS = {
    "0M4-SCICAM-QHY600": {
        "type": "IMAGE",
        "class": "0m4",
        "name": "0.4 meter QHY600",
        "optical_elements": {
            "filters": [
                {"code": "rp", "name": "SDSS-rp", "schedulable": True, "default": True},
                {"code": "V", "name": "Bessell-V", "schedulable": True, "default": False},
                {"code": "old", "name": "Broken", "schedulable": False, "default": False},
            ]
        },
        "modes": {"readout": {"default": "central30x30", "modes": [{"code": "central30x30", "schedulable": True}]}},
    },
    "1M0-SCICAM-SINISTRO": {
        "type": "IMAGE",
        "class": "1m0",
        "name": "1.0 meter Sinistro",
        "optical_elements": {"filters": [{"code": "ip", "name": "SDSS-ip", "schedulable": True, "default": True}]},
    },
}


FORM = {
    "name": "demo-2026-01-10-030405",
    "proposal": "DEMO-2026-001",
    "ipp_value": 1.05,
    "start": "2026-11-22T13:45:45Z",
    "end": "2026-11-29T13:45:45Z",
    "instrument_type": "0M4-SCICAM-QHY600",
    "max_airmass": 1.6,
    "observation_mode": "NORMAL",
    "rp_exposure_count": 5,
    "rp_exposure_time": 30.0,
    "V_exposure_count": 2,
    "V_exposure_time": 60.0,
}


@dataclass
class Asked:
    """One request that came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.content)


@dataclass
class Told:
    """One answer to give.

    Parameters
    ----------
    body : object
        Bytes as they are, anything else as JSON.
    wait_s : float
        Seconds of silence before it.
    drip_s : float
        Seconds between one byte of the body and the next.
    drips_early : bool
        Whether the headers drip, too.
    breaks : str
        "before": the connection is closed without an answer; "within": after half of the body.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0
    breaks: str = ""
    drip_s: float = 0
    drips_early: bool = False


Answer = Told | Callable[[Asked], Told]


class ScriptedServer:
    """Answers by method and path: the given answers one after the other, the last of them for ever."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        self._gone = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._serve(self)

            def do_POST(self) -> None:
                server._serve(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Set the answers of one address."""
        self._answers[method, path] = list(answers)

    def paths(self, method: str = "") -> list[str]:
        """Return the paths that were asked for so far."""
        return [one.path for one in self.asked if method in ("", one.method)]

    def close(self) -> None:
        """Stop, and let go of whoever still waits."""
        self._gone.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        path, _, query = handler.path.partition("?")
        content = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        asked = Asked(handler.command, path, query, dict(handler.headers.items()), content)
        self.asked.append(asked)
        answers = self._answers.get((handler.command, path), [Told(404, {"detail": "Not found."})])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        told = answer if isinstance(answer, Told) else answer(asked)
        if told.wait_s:
            self._gone.wait(told.wait_s)
        if told.breaks == "before":
            handler.close_connection = True
            return
        body = told.body if isinstance(told.body, bytes) else json.dumps(told.body).encode()
        handler.send_response(told.status)
        for name, value in told.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        if told.drips_early:
            body = b"".join(handler._headers_buffer) + b"\r\n" + body  # type: ignore[attr-defined]
        else:
            handler.end_headers()
        handler.close_connection = told.breaks == "within"
        for start in range(0, len(body), 1) if told.drip_s else ():
            if self._gone.wait(told.drip_s):
                return
            with suppress(OSError):  # nobody listens any more
                handler.wfile.write(body[start : start + 1])
        if not told.drip_s:
            handler.wfile.write(body[: len(body) // 2] if told.breaks == "within" else body)
