"""Drafts: outputs of a decision before they have their envelopes."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from orchestrator.messages.base import Message


class Draft(msgspec.Struct, frozen=True):
    """A message without its envelope: ids, times, agent and tenant."""

    kind: type[Message]
    fields: dict[str, Any]


Drafts: TypeAlias = Sequence[Draft]


def draft(kind: type[Message], **fields: Any) -> Draft:
    return Draft(kind, fields)
