"""Values of messages: inline or in a value store, verified by hash."""

from functools import partial
from hashlib import sha256
from typing import Any, Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import ValueStore
from orchestrator.bus.values.threads import ValueThreads
from orchestrator.errors import ContractError
from orchestrator.messages.sizes import is_large
from orchestrator.messages.types import Value
from orchestrator.messages.values import json_value, read_json

INLINE_LIMIT: Final = 32 * 1024
"""Largest value that travels in a message, bytes. Kafka's default limit of a message is 1 MB, and a session's
messages carry several values."""
LARGEST: Final = 256 * 1024 * 1024
"""Largest value that is stored or read, bytes: it is in memory as a whole, and several are at a time."""
TIMEOUT_S: Final = 60.0
"""For reading a value from the store, or writing one."""


class MessageValues:
    """Values of messages, inline or stored: `sdk.Values`, and the same for threads without an event loop.

    Without a store, values that are larger than the limit travel inline too. What reads or writes the store raises
    `UnavailableError` if that takes longer than the timeout.
    """

    def __init__(
        self,
        store: ValueStore | None = None,
        inline_limit: int = INLINE_LIMIT,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._store = store
        self._inline_limit = inline_limit
        self._timeout_s = timeout_s
        self._threads = ValueThreads()

    @property
    def can_keep(self) -> bool:
        """Whether there is a store."""
        return self._store is not None

    async def load(self, value: Value | None) -> Any:
        """JSON content of a value; None for no value. Raises `ContractError`."""
        if value is None or value.inline is not None:
            return self.load_now(value)
        deadline = Deadline.after(self._timeout_s)
        return await self._threads.run(lambda: read_json(self._read(value, deadline)), deadline)

    async def store(self, content: Any) -> Value:
        """A value that holds `content` as JSON. Raises `ContractError` for content that JSON cannot hold, or that
        is too large to be read again."""
        value = await self._json_value(content)
        if self._store is None or value.size <= self._inline_limit:
            return value
        return await self._write(self._store, value)

    async def keep(self, content: Any) -> Value:
        """As `store`, but never inline. Raises `ContractError` where no store is configured."""
        if self._store is None:
            raise ContractError(
                "this has to be kept in a value store, and none is configured: set ORCHESTRATOR_VALUES_URL"
            )
        return await self._write(self._store, await self._json_value(content))

    async def _json_value(self, content: Any) -> Value:
        """Large content is written and hashed aside: other work does not wait for it."""
        if not is_large(content):
            return json_value(content)
        return await self._threads.run(partial(json_value, content), Deadline.after(self._timeout_s))

    def load_now(self, value: Value | None) -> Any:
        """As `load`, on the calling thread."""
        return None if value is None else read_json(self.fetched(value))

    def fetched(self, value: Value) -> Value:
        """The value with its bytes inline, verified against the size and hash that it names."""
        if value.inline is not None:
            _verify(value, value.inline)
            return value
        deadline = Deadline.after(self._timeout_s)
        return self._threads.wait(lambda: self._read(value, deadline), deadline)

    def _read(self, value: Value, deadline: Deadline) -> Value:
        if value.uri is None:
            raise ContractError("a value has neither content nor a URI")
        if self._store is None:
            raise ContractError(f"the value is stored at {value.uri}, and no value store is configured")
        if value.size > LARGEST:
            raise ContractError(f"the value at {value.uri} has {value.size} bytes: {LARGEST} is the most")
        most = value.size if value.size > 0 else LARGEST
        content = self._store.read(value.uri, most, deadline)
        _verify(value, content)
        return Value(media_type=value.media_type, inline=content, size=value.size, sha256=value.sha256)

    def belongs_in_store(self, value: Value) -> bool:
        """Whether a value is inline, there is a store, and its bytes exceed the limit of what travels inline."""
        return self.can_keep and value.inline is not None and len(value.inline) > self._inline_limit

    def placed(self, value: Value) -> Value:
        """An inline value as it may travel: with its bytes in the store if they exceed the limit."""
        return self.stored(value) if self.belongs_in_store(value) else value

    def stored(self, value: Value, timeout_s: float | None = None) -> Value:
        """As `placed`, but for any size: for messages that would be too large."""
        if value.inline is None or self._store is None:
            return value
        deadline = Deadline.after(self._timeout_s if timeout_s is None else timeout_s)
        return self._threads.wait(partial(_written, self._store, value), deadline)

    async def _write(self, store: ValueStore, value: Value) -> Value:
        return await self._threads.run(partial(_written, store, value), Deadline.after(self._timeout_s))


def _written(store: ValueStore, value: Value) -> Value:
    """Raises `ContractError` for a value that could not be read again."""
    if value.size > LARGEST:
        raise ContractError(f"a value of {value.size} bytes cannot be stored: {LARGEST} is the most")
    uri = store.write(value.inline or b"")
    return Value(media_type=value.media_type, uri=uri, size=value.size, sha256=value.sha256)


def _verify(value: Value, content: bytes) -> None:
    """Writers may omit size and hash (0 and empty); those that they name have to match."""
    where = value.uri or "an inline value"
    if value.size and value.size != len(content):
        raise ContractError(f"{where} has {len(content)} bytes, the message says {value.size}")
    if value.sha256 and value.sha256 != sha256(content).hexdigest():
        raise ContractError(f"{where} does not match the hash in the message")
