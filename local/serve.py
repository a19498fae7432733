"""The whole back end on one machine: embedded AWS, telescope portal, tables and queues, HTTP server, workers, schedule."""

import fcntl
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO

from local.emulator import answers, emulator_child, emulator_python, endpoint_url, open_port
from local.environment import aws_variables, child_environment
from local.home import Home
from local.http_server import worker_count
from local.keys import key_variables, machine_token
from local.portal import serving
from local.ports import bind_again
from local.schedule import SCHEDULES
from local.supervisor import Child, StoppedError, Supervisor, python_module
from local.workers import function_names, job_worker_count

START_TIMEOUT_S = 90.0


class InUseError(Exception):
    """Raised when the port or the state folder is taken."""


@dataclass(frozen=True)
class Options:
    """How to serve.

    Parameters
    ----------
    home : Home
        The state folder.
    host, port : str, int
        Where to listen; port 0 takes a free one.
    debug : bool
        Whether to log every request and to load changed code at once.
    create_key : bool
        Whether to make an API key where none is configured.
    own_key : str or None
        `token:user` to be used whatever else is configured.
    overrides : mapping
        Variables that win over the user's own.
    """

    home: Home
    host: str = "127.0.0.1"
    port: int = 8000
    debug: bool = False
    create_key: bool = False
    own_key: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def uses_stand_in(self) -> bool:
        """Whether the stand-in takes the place of the telescope portal."""
        return serving.is_wanted({**os.environ, **self.overrides})


@dataclass(frozen=True)
class _Ports:
    """Bound sockets of what listens; `portal` is None where the portal is somebody else's."""

    http: socket.socket
    aws: socket.socket
    portal: socket.socket | None


def serve(
    options: Options, supervisor: Supervisor, say: Callable[[str], None], on_ready: Callable[[str], None]
) -> None:
    """Serve until the supervisor is told to stop.

    Parameters
    ----------
    options : Options
        How to serve.
    supervisor : Supervisor
        Runs the children; it must have been entered.
    say : callable
        Takes the lines for the user.
    on_ready : callable
        Called once with the base URL when requests are answered.

    Raises
    ------
    InUseError, NoKeyError, EmulatorMissingError
        If something is missing or taken; nothing has been started then.
    ChildFailedError
        If a child does not come up.
    """
    own_key = {"ASIMOV_API_KEY": options.own_key} if options.own_key else None
    keys = own_key or key_variables(options.home, create=options.create_key)
    emulator_python()
    for schedule in SCHEDULES.values():
        schedule.interval_s()
    serving.read_pace()
    worker_count()
    job_worker_count()
    with ExitStack() as stack:
        stack.enter_context(_lock(options.home))
        http = stack.enter_context(_listen(options.host, options.port))
        aws = stack.enter_context(open_port(options.home))
        portal = stack.enter_context(bind_again(options.home.portal_port_file)) if options.uses_stand_in else None
        options.home.prepare()
        try:
            _run(options, supervisor, say, on_ready, keys, _Ports(http, aws, portal))
        except StoppedError:
            pass
        finally:
            options.home.running_file.unlink(missing_ok=True)
            supervisor.stop_all()
            options.home.clear_tmp()


def _run(
    options: Options,
    supervisor: Supervisor,
    say: Callable[[str], None],
    on_ready: Callable[[str], None],
    keys: dict[str, str],
    ports: _Ports,
) -> None:
    home = options.home
    aws_url, url = endpoint_url(ports.aws), _url(options.host, ports.http)
    portal = serving.portal_variables(home, endpoint_url(ports.portal)) if ports.portal else {}
    extra = {**keys, **portal}
    if options.debug:
        extra["POWERTOOLS_LOG_LEVEL"] = "DEBUG"
    environment = child_environment(home, aws_url, extra, url, options.overrides)

    def child(name: str, *arguments: str, log_name: str, fds: tuple[int, ...] = ()) -> Child:
        command = python_module("local", *arguments)
        return Child(name, command, environment, home.logs / f"{log_name}.log", fds)

    emulator = supervisor.start(emulator_child(home, ports.aws))
    supervisor.wait_until(
        lambda: answers(f"{aws_url}/_ministack/health"), [emulator], START_TIMEOUT_S, "the embedded AWS"
    )
    say(f"embedded AWS on {aws_url}, state in {home.aws}")
    say(_portal_line(environment["PORTAL_URL"], home, is_stand_in=ports.portal is not None))
    say(f"e-mail goes to {environment['MAIL_FOLDER']}")
    if keys and not options.own_key:
        say(f"API key of this machine: {machine_token(home)}  (kept in {home.keys_file})")
    supervisor.run_once(child("provisioning", "provision", log_name="provision"), START_TIMEOUT_S)
    for line in refused_pipelines():
        say(line)
    if ports.portal:
        fd = ports.portal.fileno()
        stand_in = supervisor.start(
            child("telescope portal", "portal", str(fd), str(home.portal), log_name="portal", fds=(fd,))
        )
        asked = f"{environment['PORTAL_URL']}/api/instruments/"
        supervisor.wait_until(lambda: answers(asked), [stand_in], START_TIMEOUT_S, "the telescope portal")
    home.write_running({"pid": os.getpid(), "url": url, "environment": {**aws_variables(aws_url), **keys, **portal}})
    # Nobody gets an answer before there is something to answer from.
    debug = ("--debug",) if options.debug else ()
    server = supervisor.start(
        child("HTTP server", "http", str(ports.http.fileno()), *debug, log_name="http", fds=(ports.http.fileno(),))
    )
    supervisor.wait_until(lambda: answers(f"{url}/api/v1/health"), [server], START_TIMEOUT_S, "the HTTP server")
    for queue, function in function_names().items():
        for _ in range(job_worker_count()):
            supervisor.start(child(f"worker of {queue}", "work", queue, function, log_name=function))
    for function in SCHEDULES:
        supervisor.start(child(f"schedule of {function}", "schedule", function, log_name=function))
    on_ready(url)
    supervisor.run()


def refused_pipelines() -> list[str]:
    """Return a line for each pipeline that the setting names and that cannot be used."""
    from chalicelib.pipelines.registry import load_pipelines, refusal
    from chalicelib.settings import get_settings

    loaded = load_pipelines(get_settings().pipelines)
    return [refusal(name, reason) for name, reason in loaded.refused.items()]


def _portal_line(url: str, home: Home, *, is_stand_in: bool) -> str:
    if is_stand_in:
        return f"telescope portal: a stand-in on {url}, state in {home.portal} (set PORTAL_URL to use a real one)"
    return f"telescope portal: {url}"


@contextmanager
def _lock(home: Home) -> Iterator[IO[str]]:
    home.root.mkdir(parents=True, exist_ok=True)
    with home.lock_file.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(f"another server is running on {home.root}; stop it first") from None
        yield file


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, OverflowError) as error:
        raise InUseError(f"cannot listen on {host!r}: {error}") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise InUseError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another port (`make serve PORT=8001`)"
        ) from error
    return listener


def _url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def serve_command(options: Options) -> int:
    """Run `python -m local serve`: serve, print what a user needs to know, return the exit code."""

    def say(text: str) -> None:
        print(text, flush=True)

    with Supervisor(say) as supervisor:
        serve(options, supervisor, say, lambda url: say(f"ready {url}"))
    print("stopped", file=sys.stderr)
    return 0
