"""What an upload needs: a target, and a form that is read while it is sent."""

import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from http_api import Api, reason


def target_of(api: Api, name: str, ra: float | None, dec: float | None) -> int:
    """Return the id of a target that is given by name or id; a name that is new makes one."""
    known = [each["id"] for each in api.pages(f"/api/targets/?name={quote(name, safe='')}")]
    if known or name.isdecimal():
        return int(known[0] if known else name)
    if ra is None or dec is None:
        sys.exit(f"error: there is no target {name!r}; --ra and --dec make one")
    answer = api.ask("POST", "/api/targets/", {"name": name, "ra": ra, "dec": dec})
    return int(answer.json()["id"]) if answer.ok else sys.exit(f"error: {reason(answer)}")


class Form:
    """The fields of a presigned POST, then the file, which may be larger than the memory; `kind` is the Content-Type."""

    def __init__(self, fields: Mapping[str, str], path: Path) -> None:
        self.path, boundary = path, uuid.uuid4().hex
        self.kind = f"multipart/form-data; boundary={boundary}"
        parts = [f'{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
        parts.append('file"; filename="frame"\r\nContent-Type: application/octet-stream\r\n\r\n')
        self.head = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{part}' for part in parts).encode()
        self.tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self.head) + self.path.stat().st_size + len(self.tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self.head
        with self.path.open("rb") as file:
            yield from iter(lambda: file.read(1 << 20), b"")
        yield self.tail
