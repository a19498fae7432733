"""Connections to services of somebody else's, whose answers end with the time that there is for them."""

import logging
import time
from functools import cache
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any

from chalicelib.facilities.budget import deadline

if TYPE_CHECKING:
    from socket import socket

    from urllib3 import PoolManager


class _BoundedReader(RawIOBase):
    """Reads from a socket until a moment, `time.monotonic()`.

    A socket's own time-out begins anew with each byte that comes, so a service that drips would never meet it.
    """

    def __init__(self, connection: "socket", raw: Any, until: float) -> None:
        self._connection = connection
        self._raw = raw
        self._until = until

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the time for the answer is over")
        silence_s = self._connection.gettimeout()
        self._connection.settimeout(left_s if silence_s is None else min(silence_s, left_s))
        try:
            count: int | None = self._raw.readinto(buffer)
            return count
        finally:
            self._connection.settimeout(silence_s)

    def close(self) -> None:
        self._raw.close()
        super().close()


@cache
def pool() -> "PoolManager":
    """Return the connections of this process.

    Status, headers and content of an answer are read until the time budget is over in which it was asked for: then they end
    as after a silence that is too long.
    """
    from http.client import HTTPResponse

    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class Response(HTTPResponse):
        def __init__(self, sock: "socket", *args: Any, **more: Any) -> None:
            super().__init__(sock, *args, **more)
            until = deadline()
            if until is not None:
                self.fp = BufferedReader(_BoundedReader(sock, self.fp.detach(), until))

    class Plain(HTTPConnection):
        response_class = Response

    class Secure(HTTPSConnection):
        response_class = Response

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    # Its log names addresses with their queries, and a signed link is a key.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    connections = PoolManager()
    connections.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return connections
