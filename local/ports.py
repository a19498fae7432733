"""Ports of the loopback interface that stay the same from run to run."""

import socket
from pathlib import Path

HOST = "127.0.0.1"


def bind_again(port_file: Path) -> socket.socket:
    """Return a socket bound to the port that a file remembers, or to a free one if that is taken; the file learns it."""
    try:
        remembered = int(port_file.read_text())
    except (OSError, ValueError):
        remembered = 0
    for port in (remembered, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            listener.close()
        else:
            break
    else:
        raise OSError("no free port on the loopback interface")
    port_file.write_text(f"{listener.getsockname()[1]}\n")
    return listener
