"""Ids of calls. With keys, only who holds one can compute them: a reply to a call nobody was asked about, or a command
that no orchestrator has sent, is recognised.
"""

import hmac
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final

from orchestrator.messages.call_kinds import purpose_of
from orchestrator.messages.identity import call_id, uuid_text
from orchestrator.messages.types import Call, CallKind

_KNOWN: Final = 4_096
"""Ids that a process remembers: each is asked for a few times."""
_LONGEST_REMEMBERED: Final = 512
"""Characters of the names that an id is remembered with."""


class CallIds:
    """Issues ids of calls and recognises them.

    `keys`: the first one issues, all are recognised, so that a key can be replaced while calls are open.
    `accepts_unkeyed`: whether ids that were issued without a key are recognised too. Without keys, ids are derived from
    what everybody knows, and none is checked.
    """

    def __init__(self, keys: Sequence[bytes] = (), *, accepts_unkeyed: bool = False) -> None:
        # Copies of a prepared HMAC take half the time of new ones.
        self._keys = tuple(hmac.new(key, digestmod=sha256) for key in keys)
        self._accepts_unkeyed = accepts_unkeyed
        self._keyed = lru_cache(_KNOWN)(self._computed)

    @property
    def are_secret(self) -> bool:
        """Whether ids can be computed by holders of a key alone."""
        return bool(self._keys) and not self._accepts_unkeyed

    @property
    def remembered(self) -> int:
        """How many ids are remembered."""
        return self._keyed.cache_info().currsize

    def issued(self, correlation_id: str, call: Call) -> str:
        """The id of a session's call. The same each time it is issued under one key."""
        if not self._keys:
            return _derived(correlation_id, call)
        return self._with_key(0, correlation_id, call)

    def has_issued(self, correlation_id: str, call: Call) -> bool:
        """Whether a holder of a key has issued the id that the call has."""
        if not self._keys:
            return True
        given = call.call_id
        if given.isascii():
            for key in range(len(self._keys)):
                if hmac.compare_digest(self._with_key(key, correlation_id, call), given):
                    return True
        return self._accepts_unkeyed and _derived(correlation_id, call) == given

    def _with_key(self, key: int, correlation_id: str, call: Call) -> str:
        # What others wrote may be of any length, and is not worth remembering then.
        is_short = len(correlation_id) + len(call.step_id) <= _LONGEST_REMEMBERED
        keyed = self._keyed if is_short else self._computed
        return keyed(key, *_identity(correlation_id, call))

    def _computed(
        self, key: int, correlation_id: str, kind: str, revision: int, step_id: str, attempt: int
    ) -> str:
        """A version 8 UUID (RFC 9562, section 5.8) of 122 bits of an HMAC with SHA-256. Only the step may hold a
        slash."""
        text = f"call/{correlation_id}/{kind}/{revision}/{attempt}/{step_id}"
        mac = self._keys[key].copy()
        mac.update(text.encode("utf-8", "surrogatepass"))
        return uuid_text(mac.hexdigest(), version=8)


def _identity(correlation_id: str, call: Call) -> tuple[str, str, int, str, int]:
    return correlation_id, _opened_as(call).value, call.revision, call.step_id, call.attempt


def _opened_as(call: Call) -> CallKind:
    """The kind that the call had when it got its id: a selection becomes the run of a tool."""
    kind = purpose_of(call)
    return CallKind.SELECTION if kind is CallKind.TOOL else kind


def _derived(correlation_id: str, call: Call) -> str:
    return call_id(*_identity(correlation_id, call))


UNKEYED: Final = CallIds()
