"""What a decision is made of: drafts, which get their envelope when the decision is written down."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from orchestrator.messages.base import Message


class Draft(msgspec.Struct, frozen=True):
    """A message without its envelope."""

    kind: type[Message]
    fields: dict[str, Any]


Drafts: TypeAlias = Sequence[Draft]


def draft(kind: type[Message], **fields: Any) -> Draft:
    return Draft(kind, fields)
