"""Between S3 and a job's directories: inputs come down before it starts, outputs go up after it ended."""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import ClientError, ParamValidationError

from include.sagemaker_local.containers import archives
from include.sagemaker_local.s3_uri import split_s3

IN_PARTS_BYTES = 16 * 1024 * 1024

Fetch = tuple[str, str, str]
"""A bucket, a key in it, and the relative path of the file it becomes."""


class JobError(Exception):
    """The job fails with this message as its FailureReason (`ClientError: …` for what the caller got wrong)."""


class NoObjectsError(Exception):
    """Nothing is at this S3 address: there is no such bucket or key, or no key begins with the prefix."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class BadGzipError(JobError):
    """An object that is to be decompressed is not gzip."""


def objects_of(s3: Any, data_type: str, url: str) -> list[Fetch]:
    """The objects that an S3Prefix or ManifestFile input means.

    Raises NoObjectsError, and JobError for a bad manifest.
    """
    try:
        fetches = _of_manifest(s3, url) if data_type == "ManifestFile" else _of_prefix(s3, url)
    except (ClientError, ParamValidationError) as error:  # the latter: what cannot be the name of a bucket
        raise NoObjectsError(url) from error
    if not fetches:
        raise NoObjectsError(url)
    return fetches


def _of_prefix(s3: Any, url: str) -> list[Fetch]:
    bucket, prefix = split_s3(url)
    return [(bucket, key, _below(prefix, key)) for key in keys(s3, bucket, prefix) if not key.endswith("/")]


def _below(prefix: str, key: str) -> str:
    """A key's path below the prefix; a prefix that ends inside a name (`data/part-`) keeps whole names."""
    rest = key[len(prefix) :]
    if rest and (prefix.endswith("/") or rest.startswith("/") or not prefix):
        return rest.lstrip("/")
    return key[prefix.rfind("/") + 1 :]


def keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    """All keys that begin with the prefix."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            yield item["Key"]


def _of_manifest(s3: Any, url: str) -> list[Fetch]:
    """A manifest is `[{"prefix": "s3://…/"}, "relative/key", …]`; the relative keys stay the files' paths."""
    bucket, key = split_s3(url)
    try:
        head, *names = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        bucket, prefix = split_s3(_text(head["prefix"]))
        return [(bucket, f"{prefix}{name}", _text(name)) for name in names]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise JobError(
            f'ClientError: Data download failed: the manifest file {url} is not of the form [{{"prefix": "s3://…"}}, '
            f'"relative key", …]: {error}'
        ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def download(s3: Any, fetches: list[Fetch], target: Path, *, gzipped: bool = False) -> int:
    """Fetch the objects into the folder, decompressing them when `gzipped`; returns the bytes written.

    Raises NoObjectsError for one that is not there, BadGzipError, and JobError for a key that no file can have.
    """
    total = 0
    for bucket, key, name in fetches:
        try:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"]
        except (ClientError, ParamValidationError) as error:
            raise NoObjectsError(f"s3://{bucket}/{key}") from error
        except UnicodeError as error:  # of a manifest: JSON may hold half a character
            raise _no_file(key, str(error)) from error
        with _create(target, key, name) as file:
            try:
                shutil.copyfileobj(gzip.GzipFile(fileobj=body) if gzipped else body, file, 1 << 20)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise BadGzipError(
                    f"ClientError: Data download failed:s3://{bucket}/{key} is not valid gzip: {error}"
                ) from error
            total += file.tell()
    return total


def _create(target: Path, key: str, name: str) -> IO[bytes]:
    """The new file that a key becomes, with its folder. Raises JobError for a key that cannot be a file there."""
    try:
        path = (target / name).resolve()
        if not path.is_relative_to(target.resolve()):
            raise _no_file(key, "it leads out of its folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _no_file(key, "another key of the input needs the same name, one as a file, one as a folder") from error
    except (OSError, ValueError) as error:  # longer than the name of a file may be, or with a NUL in it
        raise _no_file(key, str(error)) from error


def _no_file(key: str, why: str) -> JobError:
    return JobError(f"ClientError: Data download failed:The S3 key {key!r} cannot become a file: {why}.")


def files_in(folder: Path) -> list[Path]:
    """The regular files below a folder, in order; symbolic links are not followed and not uploaded."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def upload_folder(s3: Any, folder: Path, url: str, **options: str) -> None:
    """Put every file of the folder under the S3 prefix, with these options of PutObject."""
    for path in files_in(folder):
        upload(s3, path, join(url, path.relative_to(folder).as_posix()), **options)


def encryption(kms_key: str | None) -> dict[str, str]:
    """The options of PutObject that encrypt with a key."""
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}


def upload(s3: Any, path: Path, url: str, **options: str) -> None:
    """Put one file with these options of PutObject; a large one in parts."""
    bucket, key = split_s3(url)
    if path.stat().st_size > IN_PARTS_BYTES:
        s3.upload_file(str(path), bucket, key, ExtraArgs=options)
        return
    with path.open("rb") as file:
        s3.put_object(Bucket=bucket, Key=key, Body=file, **options)


def upload_archive(s3: Any, folder: Path, archive: Path, url: str, **options: str) -> None:
    """Put the folder's content as one tar.gz, made at `archive`. Raises JobError when it cannot be made."""
    try:
        archives.pack(folder, archive)
    except archives.ArchiveError as error:
        raise JobError(f"ClientError: Artifact upload failed: {error}") from error
    upload(s3, archive, url, **options)
    archive.unlink()


def join(url: str, name: str) -> str:
    """`name` below the S3 prefix `url`, with exactly one slash between."""
    return f"{url.rstrip('/')}/{name}"
