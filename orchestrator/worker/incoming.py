"""From records to work of a service: what it handles, decoded once."""

import logging
import time
from typing import Final

from orchestrator.bus.codec import Codec
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.headers import TYPE
from orchestrator.bus.ports import Received
from orchestrator.delivery.dead_letters import DECODE, HANDLE, UNDECODABLE
from orchestrator.errors import ContractError, UnavailableError
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import avro_name
from orchestrator.sdk.failures import failure_of
from orchestrator.sdk.service import Service
from orchestrator.worker.dispatch import HANDLER_FAILED
from orchestrator.worker.work import OwnedPartition, Work

logger: Final = logging.getLogger(__name__)

_RETRY_S: Final = 0.5
_ASK_S: Final = 30.0
"""How long a registry's answer may take before the worker gives up."""


class Incoming:
    """What one service makes of records."""

    def __init__(self, service: Service, codec: Codec) -> None:
        self._service = service
        self._codec = codec
        self._names = frozenset(avro_name(message).encode() for message in service.handlers)

    def handles(self, received: Received) -> bool:
        """Whether the record's type is one of the service's, by its header alone. A record without one has to
        be looked at: it is a stranger's."""
        kind = received.header(TYPE)
        return kind is None or kind in self._names

    def work(self, ownership: OwnedPartition, received: Received) -> Work | None:
        """The record as work: to be handled, or, where that cannot be, to become a dead letter. None for a
        message that is another group's."""
        try:
            message = self._decoded(received)
        except ContractError as error:
            return Work(ownership, received, None, failure_of(error, UNDECODABLE), DECODE)
        work = Work(ownership, received, message)
        try:
            if not self._service.takes(message):
                return None
            work.once = self._service.at_most_once(message)
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
            work.failure, work.stage = failure_of(error, HANDLER_FAILED), HANDLE
        if self._service.ordered:
            work.key = received.key or b""
        return work

    def _decoded(self, received: Received) -> Message:
        """The message. A registry that does not answer is waited for: the record is not to blame."""
        deadline = Deadline.after(_ASK_S)
        while True:
            try:
                message: Message = self._codec.decode(received)
            except UnavailableError as error:
                if deadline.passed:
                    raise
                logger.warning("%s cannot decode yet: %s", self._service.name, error)
                time.sleep(_RETRY_S)
            else:
                return message
