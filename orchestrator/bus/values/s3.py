"""Large values in a bucket of Amazon S3 or a compatible service. Needs the extra `s3`."""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.values.backend import Backend
from orchestrator.bus.values.pieces import too_large, whole
from orchestrator.bus.values.s3_causes import UNNAMED, Cause, of_library, of_opening, of_response
from orchestrator.bus.values.s3_client import S3Clients
from orchestrator.bus.values.uris import path_of, path_of_content, uri_of, verified
from orchestrator.errors import ConfigurationError, ContractError, OrchestratorError, UnavailableError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from types_boto3_s3 import S3Client

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]+")
_REGION: Final = re.compile(r"[A-Za-z0-9-]*")
_OPTIONS: Final = ("endpoint_url", "region")
_NOT_FOUND: Final = frozenset({"NoSuchKey", "NotFound", "404"})
_TOO_MANY: Final = 429
_REFUSED: Final = range(400, 500)


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
    if not _REGION.fullmatch(options.get("region", "")):
        yield "region is a name such as eu-central-1"


def _endpoint_problems(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not _has_host(parts):
        yield "endpoint_url is a URL such as https://minio.example:9000"
    if "@" in parts.netloc:
        yield "leave credentials out of endpoint_url"


def _has_host(parts: SplitResult) -> bool:
    """Whether the library could connect to it."""
    try:
        return _HOST.fullmatch(parts.hostname or "") is not None and parts.port != 0
    except ValueError:
        return False


BACKEND: Final = Backend("s3", "s3://bucket/prefix?endpoint_url=https://host&region=name", _locate)


class S3Values:
    """A value store in a bucket that any number of processes share. Keys are the paths of the URIs below the
    location's prefix: `aws s3 sync` moves a folder store here, and the URIs of its values stay valid.

    Credentials come from the usual sources of the AWS tools: environment, profile, the role of the machine or pod.
    Rights: `s3:GetObject` and `s3:PutObject`; `s3:ListBucket` too, or a missing value looks like one that may
    not be read. Besides the errors of `ValueStore` it raises `UnavailableError` for what passes with time, such as a
    service that does not respond, credentials that have expired and storage that is full, and `ConfigurationError`
    for what stays, such as a bucket that does not exist or may not be used (`s3_causes`).
    """

    def __init__(self, location: BucketLocation) -> None:
        """Connects to nothing yet. Raises `ConfigurationError` if the extra is not installed."""
        if find_spec("boto3") is None:
            raise ConfigurationError(
                "values are stored in a bucket, and boto3 is not installed: install kafka-agent-orchestrator[s3]"
            )
        self._location = location
        self._clients = S3Clients(location.endpoint_url, location.region)

    def write(self, content: bytes) -> str:
        """1. Check whether it is there, undamaged: content is not sent twice.
        2. Send it with its hash, which the service verifies.

        A concurrent writer of the same content replaces it with equal bytes.
        """
        path = path_of_content(content)
        digest = b64encode(sha256(content).digest()).decode()
        with self._calling("be written to") as client:
            if not self._holds(client, path, len(content), digest):
                client.put_object(
                    **self._object(path), Body=content, ChecksumAlgorithm="SHA256", ChecksumSHA256=digest
                )
        return uri_of(path)

    def read(self, uri: str, most: int, deadline: Deadline) -> bytes:
        """The deadline holds for the content: a silent service is given up on after its own timeouts."""
        path = path_of(uri)
        with self._calling("be read", uri) as client:
            found = client.get_object(**self._object(path))
            with closing(found["Body"]) as body:
                content = _content(body, found.get("ContentLength"), uri, most, deadline)
        return verified(uri, content)

    def _holds(self, client: "S3Client", path: str, length: int, digest: str) -> bool:
        """Whether the object is there, by the length and hash that the service names. One without a hash is written
        again: some services keep none, and `aws s3 sync` sends none."""
        from botocore.exceptions import ClientError

        try:
            found = client.head_object(**self._object(path), ChecksumMode="ENABLED")
        except ClientError as error:
            # The response to HEAD has no text. What is wrong, if anything, shows when the object is written; and
            # without `s3:ListBucket` a missing object gives 403.
            status = _status(error)
            if status in _REFUSED and status != _TOO_MANY:
                return False
            raise
        return (found.get("ContentLength"), found.get("ChecksumSHA256")) == (length, digest)

    def _object(self, path: str) -> "dict[str, Any]":
        return {"Bucket": self._location.bucket, "Key": self._location.prefix + path}

    @contextmanager
    def _calling(self, action: str, uri: str = "") -> Iterator["S3Client"]:
        """The client, for calls whose errors are raised as ours. The library's texts are left out: some contain
        keys."""
        client = None
        try:
            client = self._clients.get()
            yield client
        except OrchestratorError:
            raise
        except Exception as error:
            if uri and _code(error) in _NOT_FOUND:
                raise ContractError(
                    f"{uri} is not in {self._place}: do all services use that bucket and prefix?"
                ) from error
            said, cause = _explained(error, was_opened=client is not None)
            if cause.is_of_credentials:
                self._clients.forget(client)
            raise cause.error(f"{self._place} cannot {action}: {said}") from error

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


def _explained(error: Exception, *, was_opened: bool) -> tuple[str, Cause]:
    """What to say about an error of the library, and its cause."""
    from botocore import exceptions

    name = type(error).__name__
    match error:
        case exceptions.ClientError():
            code = _code(error)
            return f"the service responded with {code}", of_response(code, _status(error))
        case exceptions.HTTPClientError() | exceptions.ConnectionError():
            return f"the service does not respond ({name})", of_library(error)
        case exceptions.BotoCoreError():
            return f"the library of the AWS tools reports {name}", of_library(error)
        case _ if not was_opened:
            return f"the library of the AWS tools cannot be used ({name})", of_opening(error)
        case _:
            # Whatever a response makes of the library: a redirect to itself ends in a RecursionError.
            return f"the response is none of this service ({name})", UNNAMED


def _code(error: Exception) -> str:
    """What the service calls the error; empty for one of the library."""
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict):
        return ""
    return str(response.get("Error", {}).get("Code", "")) or "an error without a code"


def _status(error: "ClientError") -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
