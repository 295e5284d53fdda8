"""Turns records into work: what the service handles, decoded once."""

from orchestrator.bus.codec import Codec
from orchestrator.bus.errors import SchemaPending, SchemaUnresolved
from orchestrator.bus.headers import TYPE
from orchestrator.bus.ports import Received
from orchestrator.delivery.caps import DECODE
from orchestrator.delivery.dead_letters import FORGED, HANDLE, UNDECODABLE, unresolved
from orchestrator.messages.base import Command, Message
from orchestrator.messages.call_ids import UNKEYED, CallIds
from orchestrator.messages.call_kinds import call_of
from orchestrator.messages.catalogue import avro_name
from orchestrator.messages.types import Failure, FailureKind
from orchestrator.sdk.failures import failure_of
from orchestrator.sdk.service import Service
from orchestrator.worker.dispatch import HANDLER_FAILED
from orchestrator.worker.partition import OwnedPartition
from orchestrator.worker.work import Work


class Incoming:
    """The records of one service."""

    def __init__(self, service: Service, codec: Codec, call_ids: CallIds = UNKEYED) -> None:
        self._service = service
        self._codec = codec
        self._call_ids = call_ids
        self._names = frozenset(avro_name(message).encode() for message in service.handlers)

    def handles(self, received: Received) -> bool:
        """Whether the record's type header names a message that the service handles. A record without the
        header, which a foreign client wrote, has to be decoded to know."""
        kind = received.header(TYPE)
        return kind is None or kind in self._names

    def to_work(self, partition: OwnedPartition, received: Received) -> Work | None:
        """The record as work: to be handled or, if that is impossible, to be dead-lettered. None for a message
        that another group of the service takes. Raises `SchemaPending` while its schema is looked up."""
        try:
            message: Message = self._codec.decode_now(received)
        except SchemaPending:
            raise
        except SchemaUnresolved as error:
            return Work(partition, received, None, unresolved(error), DECODE)
        except Exception as error:  # noqa: BLE001 - a bug in decoding must not stop the partition
            return Work(partition, received, None, failure_of(error, UNDECODABLE), DECODE)
        if (forged := self._forged(received, message)) is not None:
            return Work(partition, received, message, forged, DECODE)
        work = Work(partition, received, message)
        try:
            if not self._service.takes(message):
                return None
            work.at_most_once = self._service.at_most_once(message)
        except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything
            work.failure, work.stage = failure_of(error, HANDLER_FAILED), HANDLE
        if self._service.ordered:
            work.key = received.key or b""
        return work

    def _forged(self, received: Received, message: Message) -> Failure | None:
        """Why a command is not to be followed: no orchestrator has opened its call, or it was changed since."""
        if not isinstance(message, Command) or (call := call_of(message)) is None:
            return None
        if not self._call_ids.has_issued(message.correlation_id, call):
            return _forgery(
                "no orchestrator of this installation has opened the call that the command asks for"
            )
        if not self._codec.has_signed(received):
            return _forgery(
                "the command is not signed as its writer signs it: somebody else wrote or changed it"
            )
        return None


def _forgery(problem: str) -> Failure:
    return Failure(
        kind=FailureKind.PERMANENT,
        code=FORGED,
        message=f"{problem}. Where it should be: do all processes have the same call_keys?",
    )
