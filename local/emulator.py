"""Starting the embedded AWS: its port, its environment, its answer."""

import os
import socket
import urllib.error
import urllib.request
from pathlib import Path

from local.environment import without_aws
from local.home import PROJECT, Home
from local.ports import HOST, bind_again
from local.supervisor import Child, python_module


class EmulatorMissingError(Exception):
    """Raised when the environment of the embedded AWS has not been made."""


def emulator_python() -> Path:
    """Return the Python that has MiniStack: LOCAL_AWS_PYTHON, else that of `.venv-aws`.

    Raises
    ------
    EmulatorMissingError
        If it is not there.
    """
    python = Path(os.environ.get("LOCAL_AWS_PYTHON") or PROJECT / ".venv-aws" / "bin" / "python")
    if not python.exists():
        raise EmulatorMissingError(f"the embedded AWS is not installed ({python} is missing); run `make .venv-aws`")
    return python


def open_port(home: Home) -> socket.socket:
    """Return a socket bound to the port that the embedded AWS had last time, or to a free one if that is taken."""
    return bind_again(home.port_file)


def emulator_child(home: Home, listener: socket.socket) -> Child:
    """Return the embedded AWS, to be started by a supervisor."""
    port = listener.getsockname()[1]
    environment = {
        # Functions and clients inside the emulator inherit its environment: nothing of the user's cloud belongs there.
        **without_aws(
            {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ") if name in os.environ}
        ),
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(home.aws / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(home.aws / "s3"),
        "TMPDIR": str(home.tmp),
        "DOCKER_HOST": f"unix://{home.tmp}/no-docker.sock",
    }
    return Child(
        name="embedded AWS",
        arguments=python_module("local.emulator_main", str(listener.fileno()), python=str(emulator_python())),
        environment=environment,
        log_file=home.logs / "aws.log",
        pass_fds=[listener.fileno()],
        stop_s=20.0,
    )


def endpoint_url(listener: socket.socket) -> str:
    """Return the address of the embedded AWS."""
    return f"http://{HOST}:{listener.getsockname()[1]}"


def answers(url: str) -> bool:
    """Say whether something answers below 500 at this address."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return int(reply.status) < 500
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
