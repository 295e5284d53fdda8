"""Signatures of commands: with keys, a command is followed as a process of the installation wrote it, or not at all.

An id alone would let who has read one command ask for something else under it.
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

_PURPOSE: Final = b"signatures of commands"
"""Sets these keys apart from those of ids, which are made of the same secrets."""
_BYTES: Final = 16


class Signatures:
    """Signs the values of records and checks them.

    `keys`: the first one signs, all are recognised. `accepts_unsigned`: whether values without a signature are taken
    too. Without keys, nothing is signed or checked.
    """

    def __init__(self, keys: Sequence[bytes] = (), *, accepts_unsigned: bool = False) -> None:
        derived = (hmac.digest(key, _PURPOSE, sha256) for key in keys)
        # Copies of a prepared HMAC take half the time of new ones.
        self._keys = tuple(hmac.new(key, digestmod=sha256) for key in derived)
        self._accepts_unsigned = accepts_unsigned

    def signature(self, value: bytes) -> bytes | None:
        """32 hexadecimal digits; None without keys."""
        return self._with_key(0, value) if self._keys else None

    def has_signed(self, value: bytes | None, signature: bytes | None) -> bool:
        """Whether the signature is one of these keys for the value, or needs to be none. None as a value: one that is
        read otherwise than any key has signed."""
        if not self._keys:
            return True
        if signature is None:
            return self._accepts_unsigned
        return value is not None and any(
            hmac.compare_digest(self._with_key(key, value), signature) for key in range(len(self._keys))
        )

    def _with_key(self, key: int, value: bytes) -> bytes:
        mac = self._keys[key].copy()
        mac.update(value)
        return mac.digest()[:_BYTES].hex().encode()


UNSIGNED: Final = Signatures()
