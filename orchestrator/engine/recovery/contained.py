"""Records that a restore cannot use: nothing that somebody wrote may keep a partition from being restored."""

import logging
from collections.abc import Callable
from typing import Final

from orchestrator.bus.ports import Received
from orchestrator.errors import OrchestratorError

logger: Final = logging.getLogger(__name__)


def contained(handle: Callable[[Received], None], received: Received) -> None:
    """Handles a record. One that nobody of ours wrote is skipped: what ours said is in other records too, and a gap is
    found."""
    try:
        handle(received)
    except OrchestratorError:
        raise
    except Exception as error:  # noqa: BLE001 - it may hold anything
        logger.error(
            "skipping the record at offset %d of %s in partition %d, which cannot be restored from: %s: %s",
            *(received.offset, received.topic, received.partition, type(error).__name__, error),
        )
