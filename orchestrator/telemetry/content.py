"""What models are asked and answer, as attributes of spans: redacted, and bounded.

Off unless OpenTelemetry's variable says otherwise. Form: its conventions for generative AI, messages as JSON.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from orchestrator.errors import ConfigurationError
from orchestrator.sdk.model_requests import ModelContent
from orchestrator.telemetry import conventions as names
from orchestrator.telemetry.redaction import Redaction

VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_OFF: Final = frozenset({"", "false", "no_content"})
_ON: Final = frozenset({"true", "span_only", "span_and_event"})
_MOST_BYTES: Final = 32_768
"""Of one attribute: collectors take a few megabytes at once, and many spans come together."""
_LONGEST_TEXTS: Final = (8_000, 1_000, 100)
"""Characters of each text of a message; of a message that does not fit, fewer."""

logger: Final = logging.getLogger(__name__)


def captured(environment: Mapping[str, str]) -> bool:
    """Whether spans of requests to models have content. Raises `ConfigurationError` for an unknown value."""
    value = environment.get(VARIABLE, "")
    if value.lower() not in _OFF | _ON:
        raise ConfigurationError(
            f"{VARIABLE}={value} is not supported: content goes into spans, set SPAN_ONLY or NO_CONTENT"
        )
    return value.lower() in _ON


class Content:
    """Makes the attributes."""

    def __init__(self, redact: Redaction) -> None:
        self._redact = redact

    def attributes(self, make: Callable[[], ModelContent]) -> dict[str, str | int]:
        """Attributes of what `make` returns; none if it fails: the request itself has not."""
        try:
            content = make()
            return self._attributes(content)
        except Exception as error:  # noqa: BLE001 - a plug-in's code, which may raise anything
            logger.warning("the content of a request to a model is not traced: %s", type(error).__name__)
            return {}

    def _attributes(self, content: ModelContent) -> dict[str, str | int]:
        instructions = [{"type": "text", "content": content.instructions}] if content.instructions else []
        found: dict[str, str | int] = {}
        for name, parts in (
            (names.SYSTEM_INSTRUCTIONS, instructions),
            (names.INPUT_MESSAGES, content.input),
            (names.OUTPUT_MESSAGES, content.output),
        ):
            shown = self._newest(parts)
            if shown:
                found[name] = f"[{','.join(shown)}]"
            if name == names.INPUT_MESSAGES and len(shown) < len(parts):
                found[names.INPUT_LEFT_OUT] = len(parts) - len(shown)
        return found

    def _newest(self, parts: Sequence[Mapping[str, Any]]) -> list[str]:
        """As many as fit of the last ones, oldest first, as JSON."""
        shown: list[str] = []
        left = _MOST_BYTES - len("[]")
        for part in reversed(parts):
            fitting = _fitting(self._redact.content(part), left)
            if fitting is None:
                break
            shown.append(fitting)
            left -= len(fitting.encode()) + len(",")
        return shown[::-1]


def _fitting(part: Any, most_bytes: int) -> str | None:
    """The JSON of a part, its texts as long as they can be; None if it does not fit."""
    for longest in _LONGEST_TEXTS:
        text = json.dumps(_cut(part, longest), ensure_ascii=False, separators=(",", ":"))
        if len(text.encode()) <= most_bytes:
            return text
    return None


def _cut(content: Any, longest: int) -> Any:
    if isinstance(content, str):
        return content if len(content) <= longest else f"{content[:longest]}… ({len(content):,} characters)"
    if isinstance(content, dict):
        return {name: _cut(value, longest) for name, value in content.items()}
    return [_cut(one, longest) for one in content] if isinstance(content, list) else content
