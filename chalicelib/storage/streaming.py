"""A file of the bucket that is written piece by piece: neither memory nor disk ever holds more than one part of it."""

from types import TracebackType
from typing import Any

from chalicelib.settings import get_settings
from chalicelib.storage.artefacts import content_type
from chalicelib.storage.clients import s3

PART_BYTES = 16 * 1024 * 1024
"""S3 takes 10,000 parts of one file: 160 GB."""


class BucketWriter:
    """Writes one file of the bucket front to back, as a multipart upload; nobody sees it before it is whole.

    A context manager: leaving it completes the file, an exception gives it up.

    Parameters
    ----------
    key : str
        Where it is to lie.
    """

    def __init__(self, key: str) -> None:
        self._upload: Any = {"Bucket": get_settings().bucket, "Key": key}
        self._type = content_type(key)
        self._parts: list[Any] = []
        self._waiting = bytearray()
        self.size = 0

    def __enter__(self) -> "BucketWriter":
        answer = s3().create_multipart_upload(**self._upload, ContentType=self._type)
        self._upload["UploadId"] = answer["UploadId"]
        return self

    def write(self, content: bytes) -> int:
        """Append to the file. One UploadPart for every 16 MB."""
        self._waiting += content
        self.size += len(content)
        while len(self._waiting) >= PART_BYTES:
            self._send(bytes(self._waiting[:PART_BYTES]))
            del self._waiting[:PART_BYTES]
        return len(content)

    def flush(self) -> None:
        """Do nothing: S3 takes no part under 5 MB but the last."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            s3().abort_multipart_upload(**self._upload)
            return
        if self._waiting or not self._parts:
            self._send(bytes(self._waiting))
        s3().complete_multipart_upload(**self._upload, MultipartUpload={"Parts": self._parts})

    def _send(self, part: bytes) -> None:
        number = len(self._parts) + 1
        answer = s3().upload_part(**self._upload, PartNumber=number, Body=part)
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
