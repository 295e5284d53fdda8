"""How tokens are counted: four bytes of JSON are one."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

BYTES_A_TOKEN = 4


def as_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def tokens(value: object) -> int:
    """Tokens of messages or of another JSON value."""
    return len(as_json(value)) // BYTES_A_TOKEN


@dataclass(frozen=True, slots=True)
class Usage:
    """What is charged for a request."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """Of the prompt."""

    def body(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


class PromptCache:
    """Which beginnings of conversations have been seen. It does not outlive the process."""

    def __init__(self) -> None:
        self._seen: dict[str, set[bytes]] = {}

    def cached_tokens(self, conversation: str, messages: list[dict[str, Any]]) -> int:
        """Tokens of the longest beginning of these messages that was seen before, all of which are seen now."""
        seen = self._seen.setdefault(conversation, set())
        digest, known = hashlib.sha256(), 0
        for count, message in enumerate(messages, start=1):
            digest.update(as_json(message) + b"\n")
            prefix = digest.digest()
            if prefix in seen:
                known = count
            seen.add(prefix)
        return tokens(messages[:known]) if known else 0
