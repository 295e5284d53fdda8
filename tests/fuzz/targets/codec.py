"""Every record into the codec: a message that holds its ranges, or a `ContractError`."""

from random import Random
from typing import Final

from orchestrator.errors import ContractError
from orchestrator.telemetry.context import parent_of
from tests.fuzz.mutators.records import CODEC, Case, change_record, dump_record, load_record, make_record
from tests.fuzz.target import Target, promise

_LONGEST_REASON: Final = 100_000


def check(case: Case) -> None:
    CODEC.use(case)
    received = case.received
    CODEC.type_of(received)
    parent_of(received.header("traceparent"))
    try:
        message = CODEC.decode_now(received)
    except ContractError as error:
        promise(bool(str(error)), "a refusal says why")
        return
    # What was read can be written again: its numbers are in their ranges, and its texts are text.
    try:
        again = CODEC.encode(message, source="/fuzz/0")
    except ContractError as error:
        promise("without its correlation id" in str(error), f"what was read cannot be written: {error}")
        return
    promise(again.topic is received.topic, "a message is read from the topic that it belongs in")


def make(random: Random) -> Case:
    return make_record(random, foreign=0.5)


CODEC_TARGET: Final = Target(
    name="codec",
    modules=(
        "orchestrator.bus.codec",
        "orchestrator.bus.headers",
        "orchestrator.bus.avro.primitives",
        "orchestrator.bus.avro.resolution",
        "orchestrator.bus.avro.walk",
        "orchestrator.bus.avro.writer_schemas",
        "orchestrator.telemetry.context",
    ),
    make=make,
    change=change_record,
    dump=dump_record,
    load=load_record,
    check=check,
    inputs=5_000,
    reaches=0.80,
    suffix="json",
)
TARGETS: Final = (CODEC_TARGET,)
