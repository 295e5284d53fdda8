"""Keys lie where Java's clients and librdkafka put them."""

import pytest

from orchestrator.bus.partitioning import murmur2, partition_of

# From `org.apache.kafka.common.utils.UtilsTest.testMurmur2`; Java's ints are signed.
JAVA_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("data", "expected"), JAVA_VECTORS.items())
def test_the_hash_is_javas(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected & 0xFFFFFFFF


@pytest.mark.parametrize("length", range(9))
def test_every_length_of_the_tail_has_a_hash_of_32_bits(length: int) -> None:
    assert 0 <= murmur2(b"\xff" * length) < 2**32


def test_a_negative_hash_still_gives_a_partition_from_zero() -> None:
    assert partition_of("21", 6) == (-973932308 & 0x7FFFFFFF) % 6


def test_text_and_its_bytes_have_the_same_partition() -> None:
    assert partition_of("žluťoučký", 12) == partition_of("žluťoučký".encode(), 12)
