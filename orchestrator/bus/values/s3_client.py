"""The library's client for a bucket: how it connects, and when another one takes its place."""

import logging
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from orchestrator.bus.values.threads import MOST_AT_ONCE

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CONNECT_S: Final = 3
_READ_S: Final = 5
"""Longest silence of a connected server."""
_ATTEMPTS: Final = 3
"""With the pauses between them, a silent server times out after 20 s, an unreachable one after 4."""
_CONNECTIONS: Final = MOST_AT_ONCE
"""As many as calls that are made at once."""


class S3Clients:
    """The client that all threads use, made when the first one asks for it.

    A client keeps the credentials that it began with, also none; only those that have a date are read again when it
    comes. So after an error of credentials the next caller gets a new client, which reads them anew.
    """

    def __init__(self, endpoint_url: str | None, region: str | None) -> None:
        """Connects to nothing, and does not load the library."""
        self._endpoint_url = endpoint_url
        self._region = region
        self._lock = Lock()
        self._client: S3Client | None = None
        self._models: Any = None
        """The library's description of S3: with it, a further client takes a fifth of the time."""

    def get(self) -> "S3Client":
        """Raises what the library raises."""
        with self._lock:
            if self._client is None:
                self._client = self._made()
            return self._client

    def forget(self, client: "S3Client | None") -> None:
        """Its credentials are not accepted: the next caller gets another one."""
        with self._lock:
            if self._client is client:
                self._client = None

    def _made(self) -> "S3Client":
        import boto3
        import botocore.session
        from botocore.config import Config

        # They would log headers, and with them session tokens.
        for name in ("botocore", "boto3", "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)
        config = Config(
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=_CONNECTIONS,
            tcp_keepalive=True,
            # A self-hosted service rarely has a host name for each bucket.
            s3={"addressing_style": "path" if self._endpoint_url else "auto"},
            # We send and verify SHA-256; many services do not support Amazon's newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        # A session of our own: two threads must not create the default session of the module at once.
        session = botocore.session.get_session()
        if self._models is not None:
            session.register_component("data_loader", self._models)
        self._models = session.get_component("data_loader")
        return boto3.session.Session(botocore_session=session).client(
            "s3", endpoint_url=self._endpoint_url, region_name=self._region, config=config
        )
