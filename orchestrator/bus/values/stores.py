"""Which value store a URL names: a folder, or a bucket of an S3-compatible service."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from orchestrator.bus.ports import ValueStore
from orchestrator.bus.values.folder import FolderValues

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_OPTIONS: Final = ("endpoint_url", "region")
_FORMS: Final = "a folder, file:///path, or s3://bucket/prefix?endpoint_url=https://host&region=name"


@dataclass(frozen=True)
class BucketLocation:
    """Keys below `prefix`, which is empty or ends with a slash. Without an endpoint it is Amazon's, or what
    the environment says, as is the region."""

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None


def location_of(url: str) -> Path | BucketLocation:
    """What a setting names. Raises `ValueError` with what is wrong, without secrets."""
    scheme, found, _ = url.partition("://")
    if not found:
        if not url:
            raise ValueError(f"name {_FORMS}")
        return Path(url)
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise ValueError("a file URL has three slashes and an absolute path: file:///var/lib/values")
        return Path(unquote(parts.path))
    if scheme == "s3":
        return _bucket(url)
    raise ValueError(f"there is no value store of this kind: name {_FORMS}")


def value_store(url: str) -> ValueStore:
    """The store that a setting names. Connects to nothing yet.

    Raises `ValueError` for no such setting, and `ConfigurationError` if what it needs is not installed.
    """
    location = location_of(url)
    if isinstance(location, Path):
        return FolderValues(location)
    # Whoever uses a folder has no use for it, nor for what it imports.
    from orchestrator.bus.values.s3 import S3Values

    return S3Values(location)


def _bucket(url: str) -> BucketLocation:
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError(
            "leave credentials out of the URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or whatever else "
            "the AWS tools take"
        )
    if not _BUCKET.fullmatch(parts.netloc):
        raise ValueError("the bucket's name has 3 to 63 lower-case letters, digits, dots and dashes")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        # Names only: a value may be a secret that was meant for an option that is not there.
        raise ValueError(f"{', '.join(unknown)}: a bucket's options are {' and '.join(_OPTIONS)}")
    endpoint = options.get("endpoint_url")
    if endpoint is not None:
        _check_endpoint(endpoint)
    prefix = unquote(parts.path).strip("/")
    return BucketLocation(
        parts.netloc, f"{prefix}/" if prefix else "", endpoint, options.get("region") or None
    )


def _check_endpoint(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("endpoint_url is a URL such as https://minio.example:9000")
    if "@" in parts.netloc:
        raise ValueError("leave credentials out of endpoint_url")
