"""Encodes what the orchestrator writes into records within the broker's size limit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

from msgspec.structs import replace

from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Outgoing
from orchestrator.bus.values.message_values import MessageValues
from orchestrator.delivery.dead_letters import bounded_dead_letter, without_state
from orchestrator.delivery.sizes import RECORD_BYTES, size_of
from orchestrator.engine.state.store_writes import StoreAway, StoreWrites
from orchestrator.errors import ContractError
from orchestrator.messages import commands, events
from orchestrator.messages.base import Message, Record
from orchestrator.messages.catalogue import CATALOGUE, Topic
from orchestrator.messages.types import Document, Plan, Value

Writable: TypeAlias = Message | Record

_WRITTEN: Final = frozenset(
    {
        Topic.SESSIONS,
        Topic.SNAPSHOTS,
        Topic.PLAN_COMMANDS,
        Topic.EVALUATE_COMMANDS,
        Topic.CANCELLATIONS,
        Topic.DEAD_LETTERS,
    }
)

_READ: Final = (Topic.EVENTS, Topic.TASKS, Topic.CONTROL, Topic.SESSIONS, Topic.SNAPSHOTS)


class TooLarge(ContractError):  # noqa: N818 - named after what is wrong with the record
    """A record is larger than the broker accepts."""


@dataclass(frozen=True)
class Encoder:
    """Encodes messages within `limit` bytes per record. The values of a larger message go into the value store, if
    they do not affect the state of its session."""

    codec: Codec
    values: MessageValues
    source: str
    limit: int = RECORD_BYTES

    @cached_property
    def writes(self) -> StoreWrites:
        """How values are written into the store."""
        return StoreWrites(self.values)

    def prepare(self) -> None:
        """Looks up the schemas of all messages. Raises `ConfigurationError` that names every schema missing from the
        registry."""
        self.codec.prepare(entry.message for entry in CATALOGUE if entry.topic in _WRITTEN)
        self.codec.expect(_READ)

    def encode(self, message: Writable, partition: int | None = None) -> Outgoing:
        """The record of a message. Raises `TooLarge` if it exceeds the limit even without its values, `StoreAway` if
        it exceeds the limit with them and the store does not take them."""
        if isinstance(message, events.MessageDeadLettered):
            message = _with_state(message, self.writes.placed)
        outgoing = self.codec.encode(message, source=self.source)
        if not self._own_fits(outgoing):
            outgoing = self._encoded_smaller(message)
        return outgoing if partition is None else replace(outgoing, partition=partition)

    def fits(self, outgoing: Outgoing) -> bool:
        return size_of(outgoing) <= self.limit

    def _own_fits(self, outgoing: Outgoing) -> bool:
        # Our own headers are short; counting them costs more than a tenth of an encoding.
        return len(outgoing.value or b"") < self.limit // 2 or self.fits(outgoing)

    def _encoded_smaller(self, message: Writable) -> Outgoing:
        outgoing = self.codec.encode(self._smaller(message), source=self.source)
        if not self.fits(outgoing):
            raise TooLarge(
                f"{type(message).__name__} has {size_of(outgoing)} bytes, more than the limit of {self.limit} "
                "bytes per message: pass large values through the value store"
            )
        return outgoing

    def _smaller(self, message: Writable) -> Writable:
        match message:
            case events.PlanStepReady():
                return replace(message, inputs=self._stored(message.inputs))
            case commands.EvaluateTask():
                return replace(message, outputs=self._stored(message.outputs))
            case commands.CreatePlan():
                given = {"context": message.context, "memory": message.memory}
                outcomes = tuple(
                    replace(one, **self._stored({"output": one.output})) for one in message.outcomes
                )
                previous = self._plan(message.previous) if message.previous else None
                return replace(message, outcomes=outcomes, previous=previous, **self._stored(given))
            case events.MessageDeadLettered():
                return _with_state(bounded_dead_letter(message), self.writes.stored)
            case _:
                return message

    def _plan(self, plan: Plan) -> Plan:
        steps = (replace(one, arguments=self._document(one.arguments)) for one in plan.steps)
        return replace(plan, steps=tuple(steps), result=self._document(plan.result) if plan.result else None)

    def _document(self, document: Document) -> Document:
        return replace(document, **self._stored({"body": document.body}))

    def _stored(self, values: Mapping[str, Value | None]) -> dict[str, Value | None]:
        return {name: None if value is None else self.writes.stored(value) for name, value in values.items()}


def _with_state(
    whole: events.MessageDeadLettered, write: Callable[[Value], Value]
) -> events.MessageDeadLettered:
    """The dead letter with its state as it may travel. The state is for people: no dead letter waits for the store."""
    if whole.state is None:
        return whole
    try:
        return replace(whole, state=write(whole.state))
    except StoreAway:
        return without_state(whole)
