"""Large values in a bucket of Amazon S3 or a compatible service. Needs the extra `s3`."""

import logging
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.values.backend import Backend
from orchestrator.bus.values.pieces import too_large, whole
from orchestrator.bus.values.threads import MOST_AT_ONCE
from orchestrator.bus.values.uris import path_of, path_of_content, uri_of, verified
from orchestrator.errors import ConfigurationError, ContractError, OrchestratorError, UnavailableError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_OPTIONS: Final = ("endpoint_url", "region")
_CONNECT_S: Final = 3
_READ_S: Final = 5
"""Longest silence of a connected server."""
_ATTEMPTS: Final = 3
"""With the pauses between them, a silent server times out after 20 s, an unreachable one after 4."""
_CONNECTIONS: Final = MOST_AT_ONCE
"""As many as calls that are made at once."""

_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
_SERVER: Final = 500
_NOT_FOUND: Final = frozenset({"NoSuchKey", "NotFound", "404"})
_TRANSIENT: Final = frozenset({"SlowDown", "Throttling", "RequestTimeout", "OperationAborted"})


@dataclass(frozen=True)
class BucketLocation:
    """Keys below `prefix`, which is empty or ends with a slash. Without an endpoint it is Amazon's or the
    environment's; without a region it is the environment's."""

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None

    def open(self) -> "S3Values":
        return S3Values(self)


def _locate(url: str) -> BucketLocation:
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if problems := tuple(_problems(parts.netloc, options)):
        raise ValueError("; ".join(problems))
    prefix = unquote(parts.path).strip("/")
    return BucketLocation(
        bucket=parts.netloc,
        prefix=f"{prefix}/" if prefix else "",
        endpoint_url=options.get("endpoint_url"),
        region=options.get("region") or None,
    )


def _problems(netloc: str, options: Mapping[str, str]) -> Iterator[str]:
    if "@" in netloc:
        yield (
            "leave credentials out of the URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use another "
            "source of the AWS tools"
        )
    if not _BUCKET.fullmatch(netloc.rpartition("@")[2]):
        yield "a bucket's name has 3 to 63 lower-case letters, digits, dots and dashes"
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        # Names only: a value may be a secret that was meant for an option that does not exist.
        yield f"{', '.join(unknown)}: a bucket's options are {' and '.join(_OPTIONS)}"
    if "endpoint_url" in options:
        yield from _endpoint_problems(options["endpoint_url"])


def _endpoint_problems(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield "endpoint_url is a URL such as https://minio.example:9000"
    if "@" in parts.netloc:
        yield "leave credentials out of endpoint_url"


BACKEND: Final = Backend("s3", "s3://bucket/prefix?endpoint_url=https://host&region=name", _locate)


class S3Values:
    """A value store in a bucket that any number of processes share. Keys are the paths of the URIs below the
    location's prefix: `aws s3 sync` moves a folder store here, and the URIs of its values stay valid.

    Credentials come from the usual sources of the AWS tools: environment, profile, the role of the machine or pod.
    Rights: `s3:GetObject` and `s3:PutObject`; `s3:ListBucket` too, or a missing value looks like one that may
    not be read. Besides the errors of `ValueStore` it raises `ConfigurationError` if the bucket does not exist or
    rights or credentials are missing, and `UnavailableError` if the service does not respond.
    """

    def __init__(self, location: BucketLocation) -> None:
        """Connects to nothing yet. Raises `ConfigurationError` if the extra is not installed."""
        if find_spec("boto3") is None:
            raise ConfigurationError(
                "values are stored in a bucket, and boto3 is not installed: install kafka-agent-orchestrator[s3]"
            )
        self._location = location
        self._opening = Lock()

    def write(self, content: bytes) -> str:
        """1. Check whether it is there, undamaged: content is not sent twice.
        2. Send it with its hash, which the service verifies.

        A concurrent writer of the same content replaces it with equal bytes.
        """
        path = path_of_content(content)
        digest = b64encode(sha256(content).digest()).decode()
        with self._translated("be written to"):
            if not self._holds(path, len(content), digest):
                self._client.put_object(
                    **self._object(path), Body=content, ChecksumAlgorithm="SHA256", ChecksumSHA256=digest
                )
        return uri_of(path)

    def read(self, uri: str, most: int, deadline: Deadline) -> bytes:
        """The deadline holds for the content: a silent service is given up on after its own timeouts."""
        path = path_of(uri)
        with self._translated("be read", uri):
            found = self._client.get_object(**self._object(path))
            with closing(found["Body"]) as body:
                content = _content(body, found.get("ContentLength"), uri, most, deadline)
        return verified(uri, content)

    def _holds(self, path: str, length: int, digest: str) -> bool:
        """Whether the object is there, by the length and hash that the service names. One without a hash is written
        again: some services keep none, and `aws s3 sync` sends none."""
        from botocore.exceptions import ClientError

        try:
            found = self._client.head_object(**self._object(path), ChecksumMode="ENABLED")
        except ClientError as error:
            # The response to HEAD has no text. Whether the bucket or rights are missing shows when the object is
            # written; and without `s3:ListBucket` a missing object gives 403.
            if _code(error.response) in _NOT_FOUND or _status(error.response) == _FORBIDDEN:
                return False
            raise
        return (found.get("ContentLength"), found.get("ChecksumSHA256")) == (length, digest)

    def _object(self, path: str) -> "dict[str, Any]":
        return {"Bucket": self._location.bucket, "Key": self._location.prefix + path}

    @property
    def _client(self) -> "S3Client":
        with self._opening:
            return self._opened

    @cached_property
    def _opened(self) -> "S3Client":
        import boto3
        from botocore.config import Config

        # They would log headers, and with them session tokens.
        for name in ("botocore", "boto3", "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)
        endpoint = self._location.endpoint_url
        config = Config(
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=_CONNECTIONS,
            tcp_keepalive=True,
            # A self-hosted service rarely has a host name for each bucket.
            s3={"addressing_style": "path" if endpoint else "auto"},
            # We send and verify SHA-256; many services do not support Amazon's newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        # A session of our own: two threads must not create the default session of the module at once.
        return boto3.session.Session().client(
            "s3", endpoint_url=endpoint, region_name=self._location.region, config=config
        )

    @contextmanager
    def _translated(self, action: str, uri: str = "") -> Iterator[None]:
        """Raises the library's errors as ours. Its texts are left out: some contain keys."""
        from botocore import exceptions

        try:
            yield
        except exceptions.ClientError as error:
            raise self._refused(_code(error.response), _status(error.response), action, uri) from error
        except (
            exceptions.HTTPClientError,
            exceptions.ConnectionError,
        ) as error:
            raise UnavailableError(
                f"{self._place} cannot {action}: the service does not respond ({type(error).__name__})"
            ) from error
        except exceptions.BotoCoreError as error:
            raise ConfigurationError(
                f"{self._place} cannot {action} ({type(error).__name__}): check the credentials, profile and region "
                "that the AWS tools use here, and the endpoint"
            ) from error
        except OrchestratorError:
            raise
        except Exception as error:
            # Whatever a response makes of the library: a redirect to itself ends in a RecursionError.
            raise UnavailableError(
                f"{self._place} cannot {action}: the response is none of this service ({type(error).__name__})"
            ) from error

    def _refused(self, code: str, status: int, action: str, uri: str) -> OrchestratorError:
        if uri and code in _NOT_FOUND:
            return ContractError(
                f"{uri} is not in {self._place}: do all services use that bucket and prefix?"
            )
        if status >= _SERVER or status == _TOO_MANY or code in _TRANSIENT:
            return UnavailableError(f"{self._place} cannot {action}: the service responded with {code}")
        if code == "NoSuchBucket":
            return ConfigurationError(
                f"{self._place} cannot {action}: the bucket does not exist, create it first"
            )
        hint = "check the credentials, their rights to the bucket, and the region"
        if uri and status == _FORBIDDEN:
            hint += "; without s3:ListBucket a missing value gives the same response"
        return ConfigurationError(f"{self._place} cannot {action}: the service responded with {code}; {hint}")

    @property
    def _place(self) -> str:
        """For texts: bucket, prefix and endpoint."""
        where = f" at {self._location.endpoint_url}" if self._location.endpoint_url else ""
        return f"the value store s3://{self._location.bucket}/{self._location.prefix}{where}"


def _content(body: Any, length: int | None, uri: str, most: int, deadline: Deadline) -> bytes:
    """The content of a response, whose length the service may leave out."""
    if length is not None and length > most:
        raise too_large(uri, most)
    # What has arrived, and not as much as is asked for: a service that sends a byte at a time could else keep a
    # thread for days. The library's own wrapper has no such method.
    content = whole(body._raw_stream.read1, uri, most, deadline)  # noqa: SLF001
    if length is not None and len(content) < length:
        raise UnavailableError(f"{uri} cannot be read: {len(content)} of {length} bytes came")
    return content


def _code(response: Any) -> str:
    return str(response.get("Error", {}).get("Code", "")) or "an error without a code"


def _status(response: Any) -> int:
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
