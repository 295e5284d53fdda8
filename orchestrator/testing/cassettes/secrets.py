"""What is secret in texts and JSON documents, and the same without it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

from orchestrator.telemetry.redaction import HIDDEN, keys_in, secrets_in, without_keys

NAMES: Final = (
    r"((api|access|account|private|secret|subscription)[_-]?keys?([_-]?ids?)?|tokens?|secrets?|passw(or)?ds?"
    r"|credentials?|authorization|assertion)$"
)
_FIELD: Final = re.compile(NAMES, re.IGNORECASE)
_FORMS: Final = {
    "a bearer token": re.compile(r"(?<=[Bb]earer )[\w.~+/=-]{16,}"),
    # OpenAI's errors name them.
    "the id of an organisation or a project": re.compile(r"\b(?:org-|proj_)[A-Za-z0-9]{16,}"),
}
_SCHEMA_VALUES: Final = frozenset({"default", "const", "enum", "example", "examples"})
_SCHEMA: Final = _SCHEMA_VALUES | {
    *(
        "type",
        "title",
        "description",
        "format",
        "pattern",
        "nullable",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$ref",
    ),
    *(
        "anyOf",
        "oneOf",
        "allOf",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "items",
        "minItems",
        "maxItems",
    ),
    *("properties", "required", "additionalProperties"),
}


class Secrets:
    """Finds and hides secrets: values of secret variables, texts in the form of a key or an id of an account, and
    fields that are secret by their name."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        known = {
            form
            for value in secrets_in(environment)
            for form in (value, json.dumps(value)[1:-1], quote(value), quote_plus(value))
        }
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def found(self, text: str) -> Iterator[tuple[str, int, int]]:
        """What kind of secret is in the text, from where, to where; fields are not looked at."""
        if self._known:
            for one in self._known.finditer(text):
                yield "the value of a secret variable of the environment", one.start(), one.end()
        for first, end in keys_in(text):
            yield "text with the form of a key", first, end
        for kind, form in _FORMS.items():
            for one in form.finditer(text):
                yield kind, one.start(), one.end()

    def text(self, text: str) -> str:
        """The text without secrets; fields are not looked at."""
        text = without_keys(self._known.sub(HIDDEN, text) if self._known else text)
        for form in _FORMS.values():
            text = form.sub(HIDDEN, text)
        return text

    def document(self, text: str) -> str:
        """The text without secrets, also in its fields if it is JSON. One without secrets stays as it is."""
        content = parsed(text)
        if content is not None:
            # One that was hidden before is written alike: what is replayed comes back, and is compared.
            hidden = _written(self.content(content))
            text = hidden if HIDDEN in hidden else text
        return self.text(text)

    def content(self, content: Any) -> Any:
        """JSON data without secrets: in its texts, in texts that are JSON themselves, and in fields."""
        match content:
            case str():
                return self.document(content)
            case list():
                return [self.content(one) for one in content]
            case dict():
                fields = {self.text(name): self._field(name, value) for name, value in content.items()}
                if _declares_parameters(content):
                    parameters = content["properties"].items()
                    fields["properties"] = {
                        self.text(name): self._parameter(name, one) for name, one in parameters
                    }
                return fields
            case _:
                return content

    def _field(self, name: str, value: Any) -> Any:
        # Numbers stay: under such names they are counts, as in `max_tokens`.
        is_secret = value and isinstance(value, str | list | dict) and _FIELD.search(name)
        return HIDDEN if is_secret else self.content(value)

    def _parameter(self, name: str, declared: Any) -> Any:
        """A parameter of a JSON schema: what it must be is no secret, but values that it names may be one."""
        if not (_FIELD.search(name) and isinstance(declared, dict) and declared.keys() <= _SCHEMA):
            return self._field(name, declared)
        return self.content(
            {key: _hidden_value(value) if key in _SCHEMA_VALUES else value for key, value in declared.items()}
        )


def parsed(text: str) -> Any:
    """The content of a JSON object, array or text; None for anything else."""
    if text.lstrip()[:1] not in {"{", "[", '"'}:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _declares_parameters(content: dict[str, Any]) -> bool:
    kind = content.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    return isinstance(content.get("properties"), dict) and any(one in {"object", "OBJECT"} for one in kinds)


def _hidden_value(value: Any) -> Any:
    if isinstance(value, list):
        return [HIDDEN]
    return HIDDEN if isinstance(value, str | dict) else value


def _written(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(content)  # with half a character, which is only written as an escape
    return text
