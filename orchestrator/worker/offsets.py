"""Which offsets of a partition are completed, when work completes out of order.

A commit is the lowest incomplete offset, with the set of completed offsets above it as metadata, so that a
restart or a rebalance does not repeat completed work. The model is Confluent's parallel-consumer.
"""

from base64 import b85decode, b85encode
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from string import digits
from typing import Final

from orchestrator.errors import ContractError

METADATA_CHARACTERS: Final = 4_096
"""What a broker stores with a committed offset (`offset.metadata.max.bytes`)."""
INTAKE_CHARACTERS: Final = METADATA_CHARACTERS * 3 // 4
"""Intake stops when the set could need this much; the rest is room for records that were already polled."""
MAX_INTAKE_RECORDS: Final = 128
"""Records that may be taken between two checks of `is_full`: a run each, of at most 5 bytes (6.25 characters),
fills 800 characters of the quarter that is left."""
MAX_INCOMPLETE: Final = 1_000
"""Incomplete offsets at which intake stops in any case: this many fit as runs, however large the gaps between them,
where the bit set of a long range does not."""

_ALWAYS_FITS: Final = 400
"""Incomplete offsets that fit in any case: a run of 1 and one of at most 5 bytes each, 3,003 characters."""
_VERSION: Final = "1"
_BITS: Final = f"{_VERSION}b:"
_RUNS: Final = f"{_VERSION}r:"
_PREFIX_CHARACTERS: Final = len(_RUNS)


class DamagedSet(ContractError):  # noqa: N818 - named after what is wrong with the metadata
    """The metadata of a commit holds no set of offsets, although it begins as one."""


class NewerSet(ContractError):  # noqa: N818 - named after what is wrong with the metadata
    """The metadata of a commit was written by a newer release."""


class OffsetTracker:
    """The offsets of one partition while one worker owns it. Not thread-safe.

    Records are taken in offset order. Offsets without a record (transaction markers, compacted records) count
    as completed, so only the incomplete ones are kept: memory is bounded by what is in flight.
    """

    def __init__(self, committed: tuple[int, str] | None = None) -> None:
        """`committed` is the group's commit that reading starts from, if there is one.

        Raises `DamagedSet` for metadata that is damaged, and `NewerSet` for that of a newer release.
        """
        self._in_flight: dict[int, None] = {}
        self._position: int | None = None
        self._redelivered: deque[int] = deque()
        """Offsets below `_restored_end` that the former owner left incomplete and that are yet to be read."""
        self._restored_end = 0
        if committed is not None:
            self._position, metadata = committed
            incomplete, self._restored_end = decode(metadata, self._position)
            self._redelivered.extend(incomplete)

    @property
    def restored_end(self) -> int:
        """The end of the set that the commit had; 0 without one."""
        return self._restored_end

    def __len__(self) -> int:
        """How many offsets are known to be incomplete."""
        return len(self._in_flight) + len(self._redelivered)

    @property
    def position(self) -> int | None:
        """The next offset to be read; None before it is known."""
        return self._position

    @property
    def reached(self) -> int | None:
        """The lowest incomplete offset, or the position without one; None before it is known."""
        return None if self._position is None else self._lowest

    @property
    def in_flight(self) -> int:
        """How many of the records taken are incomplete."""
        return len(self._in_flight)

    def take(self, offset: int) -> bool:
        """Takes in a record that was read; False if a former owner completed it.

        Raises `ValueError` for an offset below the position: the topic was recreated or its log truncated, so
        the offsets known here mean other records now.
        """
        if self._position is not None and offset < self._position:
            raise ValueError(f"offset {offset} is below the position {self._position}")
        self.skip_to(offset)
        self._position = offset + 1
        if offset < self._restored_end:
            if not self._redelivered or self._redelivered[0] != offset:
                return False
            self._redelivered.popleft()
        self._in_flight[offset] = None
        return True

    def skip_to(self, position: int) -> None:
        """Reading continues at `position`: offsets below it that were not read have no record."""
        if self._position is None or position > self._position:
            self._position = position
            while self._redelivered and self._redelivered[0] < position:
                self._redelivered.popleft()

    def complete(self, offset: int) -> None:
        """A record that was taken is completed. Idempotent."""
        self._in_flight.pop(offset, None)

    def is_below_position(self, offset: int) -> bool:
        """Whether `take` would refuse the offset: the topic was recreated or its log truncated."""
        return self._position is not None and offset < self._position

    @property
    def is_full(self) -> bool:
        """Whether intake must stop, so that the metadata stays within its limit no matter what completes next."""
        count = len(self)
        if count <= _ALWAYS_FITS:
            return False
        return count >= MAX_INCOMPLETE or self._worst_case_characters() >= INTAKE_CHARACTERS

    @property
    def may_resume(self) -> bool:
        """Whether intake that was stopped may resume: well below `is_full`, so that it does not flap."""
        return len(self) <= MAX_INCOMPLETE // 2 and self._worst_case_characters() <= INTAKE_CHARACTERS // 2

    def _worst_case_characters(self) -> int:
        """How long the metadata can become, in any order in which the incomplete offsets complete: n of them split
        the range into at most 2n runs, of which few can be long."""
        count = len(self)
        span = self._end - self._lowest
        longer = sum(min(count, span >> bits) for bits in (7, 14, 21, 28))
        return _characters(2 * count + longer)

    def commit(self, as_completed: Collection[int] = ()) -> tuple[int, str] | None:
        """What to commit: the next offset to read, and metadata. None before a position is known.

        Offsets in `as_completed` are committed as if they were completed, but stay incomplete here.
        """
        if self._position is None:
            return None
        incomplete = [
            offset for offset in chain(self._in_flight, self._redelivered) if offset not in as_completed
        ]
        if not incomplete:
            return self._end, ""
        return incomplete[0], encode(incomplete[0], incomplete[1:], self._end)

    @property
    def _end(self) -> int:
        return max(self._position or 0, self._restored_end)

    @property
    def _lowest(self) -> int:
        if self._in_flight:
            return next(iter(self._in_flight))
        return self._redelivered[0] if self._redelivered else self._end


def encode(lowest: int, incomplete: Iterable[int], end: int) -> str:
    """Metadata for the completed offsets above `lowest`, itself incomplete, and below `end`: all of them except
    `incomplete` (ascending).

    A bit set or run lengths, whichever is shorter; empty if no offset is completed.
    """
    gaps = list(incomplete)
    while gaps and gaps[-1] == end - 1:
        gaps.pop()
        end -= 1
    if end <= lowest + 1:
        return ""
    runs = bytes(chain.from_iterable(map(_varint, _runs(lowest + 1, gaps, end))))
    if (end - lowest + 6) // 8 >= len(runs):
        return _RUNS + b85encode(runs).decode()
    bits = (1 << (end - lowest - 1)) - 1
    for offset in gaps:
        bits ^= 1 << (offset - lowest - 1)
    return _BITS + b85encode(bits.to_bytes((bits.bit_length() + 7) // 8, "little")).decode()


def decode(metadata: str, lowest: int) -> tuple[list[int], int]:
    """The incomplete offsets, ascending, in the metadata of a commit of `lowest`, and the end of the set.

    All other offsets from `lowest` to below the end are completed. Foreign metadata, such as that of a tool
    that resets offsets, is an empty set. Raises `DamagedSet` for damaged metadata, and `NewerSet` for a newer version.
    """
    form, text = metadata[:_PREFIX_CHARACTERS], metadata[_PREFIX_CHARACTERS:]
    if form in (_BITS, _RUNS):
        try:
            content = b85decode(text)
            return _from_bits(content, lowest) if form == _BITS else _from_runs(content, lowest)
        except ValueError as error:
            raise DamagedSet(
                f"the completed offsets committed above {lowest} are damaged: {error}"
            ) from error
    if len(form) == _PREFIX_CHARACTERS and form[0] in digits and form[1:] in ("b:", "r:"):
        raise NewerSet(
            f"the completed offsets committed above {lowest} have format version {form[0]}, which a newer release "
            f"wrote (this one reads {_VERSION}): run that release"
        )
    return [], lowest


def _runs(start: int, incomplete: list[int], end: int) -> Iterator[int]:
    """Lengths of runs from `start` on: completed, incomplete, completed, …; only the first may be 0."""
    run = 0
    for offset in incomplete:
        if offset > start or run == 0:
            if run:
                yield run
            yield offset - start
            run = 0
        run += 1
        start = offset + 1
    if run:
        yield run
    yield end - start


def _from_runs(content: bytes, lowest: int) -> tuple[list[int], int]:
    incomplete, end, completed = [lowest], lowest + 1, True
    for run in _lengths(content):
        if not completed:
            if len(incomplete) + run > METADATA_CHARACTERS * 8:
                raise ValueError("more incomplete offsets than a worker ever has")
            incomplete.extend(range(end, end + run))
        end += run
        completed = not completed
    if end >= 1 << 63:
        raise ValueError("an offset beyond 63 bits")
    return incomplete, end


def _from_bits(content: bytes, lowest: int) -> tuple[list[int], int]:
    bits = f"{int.from_bytes(content, 'little'):b}"[::-1]
    return (
        [lowest, *(lowest + 1 + index for index, bit in enumerate(bits) if bit == "0")],
        lowest + 1 + len(bits),
    )


def _varint(number: int) -> bytes:
    """Base 128, least significant group first (LEB128)."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _lengths(content: bytes) -> Iterator[int]:
    number = shift = 0
    for group in content:
        number |= (group & 0x7F) << shift
        shift += 7
        if group < 0x80:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("the last number is cut off")


def _characters(size: int) -> int:
    """Length of the metadata for `size` bytes of content."""
    return _PREFIX_CHARACTERS + size + (size + 3) // 4
