"""Makes data products of files, several at once."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.client import Client
from local.faults import ClientError, RefusedError, UnreadableError
from local.forms import Form, Heed

DIRECT_BYTES = 4_000_000
"""Files up to this size go through the API; larger ones through a presigned upload."""

NO_FRAMES = (
    ".md",
    ".json",
    ".txt",
    ".csv",
    ".yaml",
    ".yml",
    ".toml",
    ".py",
    ".html",
    ".pdf",
    ".log",
    ".gitignore",
    ".part",
)
"""Files that lie beside frames and are not meant as one."""

FITS_FILE = "fits_file"


class NoFramesError(Exception):
    """Raised when there is nothing to upload; says why."""


class StoppedError(Exception):
    """Raised where an upload finds that it should end."""


@dataclass
class Uploads:
    """Uploads of files to one target, and what has become of each; may be called again for what is left.

    Parameters
    ----------
    client : Client
        Of the deployment.
    target : int
        Id of the target.
    kind : str
        `data_product_type` of the files.
    heed : callable
        Told of each piece that is sent, in bytes, by several threads.
    """

    client: Client
    target: int
    kind: str = FITS_FILE
    heed: Heed = lambda _: None
    products: dict[Path, int] = field(default_factory=dict)
    refused: dict[Path, str] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)

    def find_missing(self, files: Sequence[Path]) -> list[Path]:
        """Return those of the files which the target does not have yet, by name and size.

        Raises
        ------
        OSError
            If there is no such file.
        """
        listed = self.client.pages("/api/dataproducts/", target=str(self.target))
        there = {(product["name"], product["size"]) for product in listed}
        return [file for file in files if (file.name, file.stat().st_size) not in there]

    def send(self, files: Sequence[Path], at_once: int = 4) -> None:
        """Upload files; those that are refused, or cannot be read, are noted in `refused`.

        Interrupted, it sends no further piece, waits for no busy server, and leaves no upload half done.

        Raises
        ------
        RefusedError, UnreachableError, NotSiderealError
            If what happened to one would happen to all.
        """
        client = self.client.pausing(self._pause)
        with ThreadPoolExecutor(at_once) as pool:
            work = {pool.submit(self._send, client, file): file for file in files}
            try:
                for done in as_completed(work):
                    self._note(work[done], done.result)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _note(self, file: Path, result: Callable[[], int]) -> None:
        try:
            self.products[file] = result()
        except RefusedError as error:
            if error.status == 401 or error.status >= 500:
                raise
            self.refused[file] = error.text
        except (OSError, UnreadableError) as error:
            self.refused[file] = str(error)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise StoppedError

    def _send(self, client: Client, file: Path) -> int:
        def heed(size: int) -> None:
            if self._stop.is_set():
                raise StoppedError
            self.heed(size)

        if self._stop.is_set():
            raise StoppedError
        return upload_file(client, file, self.target, kind=self.kind, key=self._key(file), heed=heed)

    def _key(self, file: Path) -> str:
        """Return the same key for the same file, so that one that another run is still sending is not doubled."""
        facts = file.stat()
        same = (self.target, self.kind, str(file.resolve()), facts.st_size, facts.st_mtime_ns)
        return hashlib.sha256(repr(same).encode("utf-8", "surrogateescape")).hexdigest()


def upload_file(
    client: Client, file: Path, target: int, *, kind: str = FITS_FILE, key: str = "", heed: Heed = lambda _: None
) -> int:
    """Make a data product of a file and return its id.

    Parameters
    ----------
    kind : str
        Its `data_product_type`.
    key : str
        Its `Idempotency-Key`; a new one by default.
    heed : callable
        Told of each piece that is about to be sent, in bytes; what it raises ends the upload.

    Raises
    ------
    RefusedError, UnreachableError, NotSiderealError
        If the API does not take the file, or does not answer.
    OSError, UnreadableError
        If the file cannot be read.
    """
    for same in (key, "") if key else ("",):
        try:
            product, is_replay = client.create("/api/dataproducts/", same, **_body(file, target, kind, heed))
        except RefusedError as error:
            if error.status == 422 and same:
                continue  # an earlier file of this name, size and time had another content
            raise
        address = f"/api/dataproducts/{product['id']}/"
        stands = _find_state(client, address) if is_replay else "open" if "upload" in product else "there"
        if stands == "gone":
            continue  # it was uploaded and deleted: a new key makes a new one
        if stands == "open":
            _send_past_the_api(client, address, product["upload"], file, heed)
        return int(product["id"])
    raise AssertionError("a new key is never replayed")


def _body(file: Path, target: int, kind: str, heed: Heed) -> dict[str, Any]:
    size = file.stat().st_size
    if size <= DIRECT_BYTES:
        # The form means the same each time it is sent, as the key demands.
        return {"data": Form({"target": str(target), "data_product_type": kind}, file, heed)}
    return {"json": {"target": target, "filename": file.name, "size": size, "data_product_type": kind}}


def _find_state(client: Client, address: str) -> str:
    """Return how a product stands that an earlier request has made: `there`, `open` to its upload, `gone`."""
    try:
        client.call("POST", f"{address}complete/")
    except RefusedError as error:
        if error.status not in (404, 409):
            raise
        return "open" if error.status == 409 else "gone"
    return "there"


def _send_past_the_api(client: Client, address: str, upload: dict[str, Any], file: Path, heed: Heed) -> None:
    try:
        client.send_to_storage(upload["url"], Form(upload["fields"], file, heed))
        client.call("POST", f"{address}complete/")
    except BaseException:
        _give_up(client, address)
        raise


def _give_up(client: Client, address: str) -> None:
    """Free the place of an upload that did not arrive, or was no frame; where that fails it ends by itself."""
    try:
        client.call("DELETE", address)
    except ClientError:
        return


def find_files(given: Iterable[Path]) -> list[Path]:
    """Return files as they are given, and the frames of folders.

    Raises
    ------
    NoFramesError
        If one is not there, or a folder has no frames.
    """
    files: list[Path] = []
    for path in given:
        if not path.exists():
            raise NoFramesError(f"there is no file {path}")
        files.extend(find_frames(path) if path.is_dir() else [path])
    return files


def find_frames(folder: Path) -> list[Path]:
    """Return the files of a folder that may be frames, by name.

    Raises
    ------
    NoFramesError
        If there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise NoFramesError(f"there is no folder {folder}")
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    frames = [file for file in files if not file.name.lower().endswith(NO_FRAMES)]
    if not frames:
        raise NoFramesError(f"there are no frames in {folder}")
    return frames
