"""Where large values lie: a folder of files named after their content, and the rule of what travels inline."""

import asyncio
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from orchestrator.bus.ports import ValueStore
from orchestrator.bus.value_uris import path_of, path_of_content, uri_of, verified
from orchestrator.errors import ContractError, UnavailableError
from orchestrator.messages.types import Value
from orchestrator.messages.values import json_value, read_json

INLINE_LIMIT: Final = 32 * 1024
"""Largest value that travels in a message, bytes. Kafka's default limit of a message is 1 MB, and a session's
messages carry several values."""


class FolderValues:
    """A value store in a folder, which several processes may share. The path below it is the URI's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, content: bytes) -> str:
        """Raises `UnavailableError` where the folder cannot be written to."""
        below = path_of_content(content)
        path = self._folder / below
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                _write_durably(path, content)
        except OSError as error:
            raise UnavailableError(
                f"the value store in {self._folder} cannot be written to: {error.strerror}"
            ) from error
        return uri_of(below)

    def read(self, uri: str) -> bytes:
        path = self._folder / path_of(uri)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise ContractError(
                f"{uri} is not in the value store in {self._folder}: do all services share that folder?"
            ) from error
        except OSError as error:
            raise UnavailableError(
                f"the value store in {self._folder} cannot be read: {error.strerror}"
            ) from error
        return verified(uri, content)


def _write_durably(path: Path, content: bytes) -> None:
    """All of it or nothing, and still there after a power cut: a message may name it from now on."""
    # 1. The content, under a name that nobody reads.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # 2. The name. Whoever writes the same content at the same time replaces it by itself.
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    # 3. The folders' entries.
    for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class MessageValues:
    """Values of messages, wherever they lie: `sdk.Values`, and the same for threads without an event loop.

    Without a store, values that are larger than the limit travel inline too.
    """

    def __init__(self, store: ValueStore | None = None, inline_limit: int = INLINE_LIMIT) -> None:
        self._store = store
        self._inline_limit = inline_limit

    async def load(self, value: Value | None) -> Any:
        """JSON content of a value; None for no value. Raises `ContractError`."""
        if value is None or value.inline is not None:
            return self.load_now(value)
        return await asyncio.to_thread(self.load_now, value)

    async def store(self, content: Any) -> Value:
        """A value that holds `content` as JSON. Raises `ContractError` for what JSON cannot hold."""
        value = json_value(content)
        if self._store is None or value.size <= self._inline_limit:
            return value
        return await asyncio.to_thread(self.placed, value)

    def load_now(self, value: Value | None) -> Any:
        """As `load`, on the calling thread."""
        return None if value is None else read_json(self.fetched(value))

    def fetched(self, value: Value) -> Value:
        """The value with its bytes inline, checked against the size and the hash that it names."""
        if value.inline is not None:
            _verify(value, value.inline)
            return value
        if value.uri is None:
            raise ContractError("a value has neither content nor a URI")
        if self._store is None:
            raise ContractError(f"the value lies at {value.uri}, and no value store is configured")
        content = self._store.read(value.uri)
        _verify(value, content)
        return Value(media_type=value.media_type, inline=content, size=value.size, sha256=value.sha256)

    def placed(self, value: Value) -> Value:
        """An inline value as it may travel: with its bytes in the store if they are many."""
        if value.inline is None or self._store is None or len(value.inline) <= self._inline_limit:
            return value
        return self.stored(value)

    def stored(self, value: Value) -> Value:
        """As `placed`, however few its bytes are: for messages that would be too large."""
        if value.inline is None or self._store is None:
            return value
        uri = self._store.write(value.inline)
        return Value(media_type=value.media_type, uri=uri, size=value.size, sha256=value.sha256)


def _verify(value: Value, content: bytes) -> None:
    """Writers may leave size and hash out (0 and empty); what they name has to hold."""
    where = value.uri or "an inline value"
    if value.size and value.size != len(content):
        raise ContractError(f"{where} has {len(content)} bytes, the message says {value.size}")
    if value.sha256 and value.sha256 != sha256(content).hexdigest():
        raise ContractError(f"{where} does not have the hash that the message names")
