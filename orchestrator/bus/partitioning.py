"""The partition of a key by `murmur2_random`, as Java's clients and librdkafka's partitioner of that name choose it.

Source: `Utils.murmur2` and `BuiltInPartitioner.partitionForKey` of Apache Kafka's clients.
"""

from struct import unpack_from
from typing import Final

PARTITIONER: Final = "murmur2_random"
"""Value of librdkafka's setting `partitioner`; its own default is another hash (CRC32)."""

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit Murmur2 hash, unsigned; Java shows the same bits as a signed int."""
    length = len(data)
    words = length >> 2
    hashed = _SEED ^ length
    for word in unpack_from(f"<{words}I", data):
        mixed = word * _MULTIPLIER & _MASK
        mixed ^= mixed >> 24
        hashed = hashed * _MULTIPLIER & _MASK ^ mixed * _MULTIPLIER & _MASK
    if length & 3:
        hashed = (hashed ^ int.from_bytes(data[words << 2 :], "little")) * _MULTIPLIER & _MASK
    hashed ^= hashed >> 13
    hashed = hashed * _MULTIPLIER & _MASK
    return hashed ^ hashed >> 15


def partition_of(key: str | bytes, partitions: int) -> int:
    """The partition, from 0, of a key in a topic that has this many partitions."""
    data = key.encode() if isinstance(key, str) else key
    return (murmur2(data) & 0x7FFFFFFF) % partitions
