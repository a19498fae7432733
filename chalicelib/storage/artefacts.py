"""Files in S3. Nothing is public: who downloads gets a link that lasts for minutes."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from chalicelib.errors import UnavailableError
from chalicelib.models.data_products import UploadForm
from chalicelib.observability import logger
from chalicelib.settings import get_settings
from chalicelib.storage.clients import s3

CONTENT_TYPES = {
    ".gif": "image/gif",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".svg": "image/svg+xml",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".csv": "text/csv; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".fits": "application/fits",
    ".fz": "application/fits",
    ".zip": "application/zip",
}
_SHOWN_INLINE = ("image/gif", "image/png", "image/jpeg", "video/mp4", "video/webm", "text/plain; charset=utf-8")


def product_key(target_id: int, product_id: int, name: str) -> str:
    """Return the key of an uploaded file."""
    return f"products/{target_id}/{product_id}/{name}"


def upload_key(target_id: int, product_id: int, name: str) -> str:
    """Return the key under which a presigned upload arrives: its form works on for a while after it was completed."""
    return f"uploads/{target_id}/{product_id}/{name}"


def output_key(process_id: int, attempt: int, name: str) -> str:
    """Return the key of a file that a process made."""
    return f"processes/{process_id}/{attempt}/{name}"


def content_type(name: str) -> str:
    """Return the media type of a file of this name."""
    return CONTENT_TYPES.get(Path(name.lower()).suffix, "application/octet-stream")


def put_bytes(key: str, content: bytes) -> None:
    """Keep a small file. One PutObject."""
    s3().put_object(Bucket=get_settings().bucket, Key=key, Body=content, ContentType=content_type(key))


def put_file(key: str, path: Path) -> int:
    """Keep a local file, whatever its size, and return its size in bytes."""
    s3().upload_file(str(path), get_settings().bucket, key, ExtraArgs={"ContentType": content_type(key)})
    return path.stat().st_size


def copy(source: str, key: str) -> None:
    """Copy a file within the bucket, at most 5 GB. One CopyObject.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    from botocore.exceptions import ClientError

    bucket = get_settings().bucket
    try:
        s3().copy_object(
            Bucket=bucket,
            Key=key,
            CopySource={"Bucket": bucket, "Key": source},
            ContentType=content_type(key),
            MetadataDirective="REPLACE",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            raise FileNotFoundError(source) from None
        raise


def fetch(key: str, path: Path) -> None:
    """Copy a file to a local path, streaming.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    _, pieces = stream(key)
    with path.open("wb") as file:
        file.writelines(pieces)


def stream(key: str) -> tuple[int, Iterator[bytes]]:
    """Return the size of a file in bytes, and its content in pieces of at most 1 MB. One GetObject.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    answer = _get(key)
    return int(answer["ContentLength"]), answer["Body"].iter_chunks(1 << 20)


def size(key: str) -> int | None:
    """Return the size of a file in bytes, None if there is none. One HeadObject."""
    from botocore.exceptions import ClientError

    try:
        return int(s3().head_object(Bucket=get_settings().bucket, Key=key)["ContentLength"])
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return None
        raise


def head(key: str, count: int) -> bytes:
    """Return the first `count` bytes of a file that is not empty. One GetObject.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    content: bytes = _get(key, Range=f"bytes=0-{count - 1}")["Body"].read()
    return content


def delete(keys: Iterable[str]) -> None:
    """Delete files; those that are gone already do not matter. One DeleteObjects per thousand."""
    waiting = list(keys)
    while waiting:
        now, waiting = waiting[:1000], waiting[1000:]
        answer = s3().delete_objects(
            Bucket=get_settings().bucket, Delete={"Objects": [{"Key": key} for key in now], "Quiet": True}
        )
        if answer.get("Errors"):
            logger.error("files not deleted", extra={"count": len(answer["Errors"]), "first": answer["Errors"][0]})
            raise UnavailableError("Not all files could be deleted; try again.")


def list_keys(prefix: str) -> list[str]:
    """Return the keys that begin with `prefix`."""
    pages = s3().get_paginator("list_objects_v2").paginate(Bucket=get_settings().bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def download_link(key: str, name: str) -> str:
    """Return a link under which the file can be downloaded for some minutes, with its name and type. No request."""
    media_type = content_type(name)
    shown = "inline" if media_type in _SHOWN_INLINE else "attachment"
    parameters = {
        "Bucket": get_settings().bucket,
        "Key": key,
        "ResponseContentType": media_type,
        "ResponseContentDisposition": f"{shown}; filename*=UTF-8''{quote(name, safe='')}",
    }
    return s3().generate_presigned_url("get_object", Params=parameters, ExpiresIn=get_settings().link_lifetime_s)


def upload_form(key: str, byte_count: int, lifetime_s: int) -> UploadForm:
    """Return `{url, fields}` of a presigned POST that takes a file of exactly `byte_count` bytes for so long. No request."""
    form = s3().generate_presigned_post(
        get_settings().bucket,
        key,
        Conditions=[["content-length-range", byte_count, byte_count]],
        ExpiresIn=lifetime_s,
    )
    return {"url": form["url"], "fields": form["fields"]}


def origins() -> list[str]:
    """Return the origins to which links lead: a page that shows files must allow them. No request."""
    link = urlsplit(download_link("products/a", "a"))
    found = [f"{link.scheme}://{link.netloc}"]
    if link.netloc.endswith(".amazonaws.com"):
        # S3 itself sends requests for a young bucket on from its global name to its regional one.
        found.append(f"https://{get_settings().bucket}.s3.{s3().meta.region_name}.amazonaws.com")
    return list(dict.fromkeys(found))


def _get(key: str, **more: Any) -> Any:
    from botocore.exceptions import ClientError

    try:
        return s3().get_object(Bucket=get_settings().bucket, Key=key, **more)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            raise FileNotFoundError(key) from None
        raise
