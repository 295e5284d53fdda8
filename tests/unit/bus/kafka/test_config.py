"""What consumers fetch at once is bounded: what is packed may be thousands of times as large unpacked."""

import pytest

from orchestrator.bus.kafka.config import consumer_config, consumer_defaults
from orchestrator.bus.ports import Assignor, Reading, Start

MEGABYTE = 1_000_000
BYTES_OF_A_PACKED_BATCH = 350
"""What 8 MB of zeros are in zstd, with the batch's header."""


@pytest.mark.parametrize("assignor", list(Assignor))
def test_what_a_response_unpacks_to_fits_a_pod(assignor: Assignor) -> None:
    reading = Reading("group", Start.ERROR, assignor=assignor)

    settings = consumer_defaults(reading) | consumer_config(reading)

    batches = settings["fetch.max.bytes"] / BYTES_OF_A_PACKED_BATCH
    assert batches * settings["receive.message.max.bytes"] < 500 * MEGABYTE
    # The client raises what is fetched to this.
    assert settings["message.max.bytes"] <= settings["fetch.max.bytes"]
    assert settings["fetch.message.max.bytes"] <= settings["fetch.max.bytes"]


def test_a_restore_fetches_much_at_once() -> None:
    reading = Reading("group", Start.ERROR, to_the_end=True)

    settings = consumer_defaults(reading)

    assert settings["fetch.max.bytes"] == 4 * MEGABYTE
    assert settings["receive.message.max.bytes"] == 8 * MEGABYTE
