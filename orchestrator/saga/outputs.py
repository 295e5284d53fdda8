"""What a decision is made of: drafts, which get their envelope when the decision is written down."""

from typing import Any

import msgspec

from orchestrator.messages.base import Message


class Draft(msgspec.Struct, frozen=True):
    """A message without its envelope."""

    kind: type[Message]
    fields: dict[str, Any]


def draft(kind: type[Message], **fields: Any) -> Draft:
    return Draft(kind, fields)
