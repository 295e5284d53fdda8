"""Cassettes: what servers answered over HTTP, recorded once and replayed in tests, without secrets."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from unittest.mock import patch

from orchestrator.errors import ConfigurationError
from orchestrator.testing.cassettes.errors import RECORD, NotRecordedError

__all__ = ["RECORD", "NotRecordedError", "cassette"]

CREDENTIALS: Final = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY")
"""Without them the clients of these providers send nothing."""
_PLACEHOLDER: Final = "replayed-without-credential"
_LIBRARY: Final = ("vcr", "httpx2")


@contextmanager
def cassette(
    path: str | Path, *, ignore_hosts: Iterable[str] = (), credentials: Iterable[str] = CREDENTIALS
) -> Iterator[None]:
    """Inside, requests by HTTP of this process get the responses in the file, and nothing reaches the network.

    With `ORCHESTRATOR_RECORD=1` in the environment they go to their servers, and the file is written anew. A request
    is answered once by a recorded one with the same method, URL and body, in the order of the recording.
    `ignore_hosts` are neither recorded nor replayed. `credentials` are variables that have a placeholder while the
    file is replayed, if they are not set.

    A request that the file cannot answer raises `NotRecordedError`, at its sender and again at the end of the block.
    Raises `ConfigurationError` without the extra `cassettes`.
    """
    _require_library()
    from orchestrator.testing.cassettes.tape import recorded, replayed

    file, ignored = Path(path), frozenset(ignore_hosts)
    if _recording(os.environ):
        with recorded(file, ignored):
            yield
        return
    missing = {name: _PLACEHOLDER for name in credentials if not os.environ.get(name)}
    with patch.dict(os.environ, missing), replayed(file, ignored):
        yield


def _recording(environment: Mapping[str, str]) -> bool:
    value = environment.get(RECORD, "").lower()
    if value not in {"", "0", "1", "false", "true"}:
        raise ConfigurationError(f"{RECORD}={value}: set 1 to record, or leave it out to replay")
    return value in {"1", "true"}


def _require_library() -> None:
    if not all(find_spec(name) for name in _LIBRARY):
        raise ConfigurationError(
            "recordings of HTTP traffic need their library: install kafka-agent-orchestrator[cassettes]"
        )
