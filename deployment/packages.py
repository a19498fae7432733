"""The bucket that takes what is deployed: bundle, layers and template, under names made from their content."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deployment.account import Account, DeployError

TEMPLATE = "sam.json"
KEPT_DAYS = 30
"""Days for which what is no longer deployed is kept, once as it is and once more as a deleted version."""

_FILES = ("CodeUri", "ContentUri")
_BLOCK = 1 << 20


class Packages:
    """The packages of one stack.

    Parameters
    ----------
    account : Account
        Where the bucket is.
    stack : str
        Name of the stack: the folder of the bucket.
    bucket : str or None
        A bucket of one's own, which is used as it is; None for one that is made where it is missing.
    say : callable
        Takes lines about the progress.
    """

    def __init__(self, account: Account, stack: str, bucket: str | None, say: Callable[[str], None]) -> None:
        self._account = account
        self._s3 = account.client("s3")
        self._stack = stack
        self._is_ours = not bucket
        self.bucket = bucket or f"sidereal-packages-{account.number}-{account.region}"
        self._say = say
        self._used: set[str] = set()

    def upload(self, package: Path, template: dict[str, Any]) -> str:
        """Upload what the template names, and the template with these addresses; return the address of that.

        What is there already is not uploaded again: it has the same content.
        """
        self._provide_bucket()
        keys: dict[str, str] = {}
        for resource in template["Resources"].values():
            properties = resource.get("Properties", {})
            for name in _FILES:
                file = properties.get(name)
                if isinstance(file, str):
                    if file not in keys:
                        keys[file] = self._upload_archive(package / file)
                    properties[name] = f"s3://{self.bucket}/{keys[file]}"
        text = json.dumps(template, sort_keys=True).encode()
        key = f"{self._stack}/{hashlib.sha256(text).hexdigest()}.json"
        self._s3.put_object(Bucket=self.bucket, Key=key, Body=text, **self._owner)
        self._used = {key, *keys.values()}
        # The bucket in the path is the form that works everywhere: with AWS, and with an emulator.
        return f"{self._s3.meta.endpoint_url.rstrip('/')}/{self.bucket}/{key}"

    def forget_old(self) -> None:
        """Delete what was uploaded long ago and is not part of what `upload` was last asked for.

        Not before that is deployed: until then CloudFormation may have to go back to the files of the stack before.
        """
        oldest = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
        old = [each for each in self._objects() if each["Key"] not in self._used and each["LastModified"] < oldest]
        self._delete(old)
        if old:
            self._say(f"deleted {len(old)} packages that were uploaded more than {KEPT_DAYS} days ago")

    def forget_all(self) -> None:
        """Delete all packages of the stack."""
        from botocore.exceptions import ClientError

        try:
            self._delete(self._objects())
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise

    @property
    def _owner(self) -> dict[str, str]:
        # Bucket names are everybody's: somebody else's bucket of this name must not get what we deploy.
        return {"ExpectedBucketOwner": self._account.number}

    def _provide_bucket(self) -> None:
        from botocore.exceptions import ClientError

        try:
            self._s3.head_bucket(Bucket=self.bucket, **self._owner)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchBucket", "NotFound"):
                raise DeployError(
                    f"the bucket {self.bucket} cannot be used ({error.response['Error']['Code']}): it belongs to somebody "
                    "else, or you may not read it; name another one with PACKAGE_BUCKET"
                ) from None
            if not self._is_ours:
                raise DeployError(f"there is no bucket {self.bucket} in this account (PACKAGE_BUCKET)") from None
            self._make_bucket()

    def _make_bucket(self) -> None:
        """Make the bucket; closed and encrypted from the start, as every bucket is since 2023, and here said once more."""
        place = {"LocationConstraint": self._account.region}
        # S3 refuses the name of its first region here
        how: dict[str, Any] = {} if self._account.region == "us-east-1" else {"CreateBucketConfiguration": place}
        self._s3.create_bucket(Bucket=self.bucket, **how)
        closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        self._s3.put_public_access_block(
            Bucket=self.bucket, PublicAccessBlockConfiguration=dict.fromkeys(closed, True), **self._owner
        )
        encryption = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        self._s3.put_bucket_encryption(
            Bucket=self.bucket, ServerSideEncryptionConfiguration={"Rules": [encryption]}, **self._owner
        )
        self._s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"}, **self._owner)
        # Nothing expires by its age alone: a layer that never changes is as old as the stack.
        rules = [
            {
                "ID": "deleted-packages",
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "NoncurrentVersionExpiration": {"NoncurrentDays": KEPT_DAYS},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
            }
        ]
        self._s3.put_bucket_lifecycle_configuration(
            Bucket=self.bucket, LifecycleConfiguration={"Rules": rules}, **self._owner
        )
        self._say(f"made the bucket {self.bucket}")

    def _upload_archive(self, path: Path) -> str:
        from botocore.exceptions import ClientError

        key = f"{self._stack}/{digest(path)}.zip"
        try:
            self._s3.head_object(Bucket=self.bucket, Key=key, **self._owner)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                raise
            self._say(f"uploading {path.name}, {path.stat().st_size / 1e6:.1f} MB")
            self._s3.upload_file(str(path), self.bucket, key, ExtraArgs=self._owner)
        else:
            self._say(f"{path.name} is there already")
        return key

    def _objects(self) -> list[dict[str, Any]]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self._stack}/", **self._owner
        )
        return [each for page in pages for each in page.get("Contents", [])]

    def _delete(self, objects: list[dict[str, Any]]) -> None:
        for start in range(0, len(objects), 1000):
            keys = [{"Key": each["Key"]} for each in objects[start : start + 1000]]
            self._s3.delete_objects(Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True}, **self._owner)


def read_template(package: Path) -> dict[str, Any]:
    """Return the template of a package.

    Raises
    ------
    DeployError
        If there is none.
    """
    try:
        template: dict[str, Any] = json.loads((package / TEMPLATE).read_text("utf-8"))
    except FileNotFoundError:
        raise DeployError(f"{package / TEMPLATE} is missing: run `make package` first") from None
    return template


def digest(path: Path) -> str:
    """Return the SHA-256 of what an archive holds: names, modes and contents in order, hexadecimal.

    Not of the file itself: the times in it differ each time that it is made of the same things.
    """
    whole = hashlib.sha256()
    with zipfile.ZipFile(path) as archive:
        for entry in sorted(archive.infolist(), key=lambda each: each.filename):
            content = hashlib.sha256()
            with archive.open(entry) as file:
                while block := file.read(_BLOCK):
                    content.update(block)
            mode = entry.external_attr >> 16 & 0o777
            whole.update(f"{entry.filename}\0{mode:o}\0{content.hexdigest()}\n".encode())
    return whole.hexdigest()
