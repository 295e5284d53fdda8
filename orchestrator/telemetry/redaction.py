"""Secrets in text that leaves the process: in logs, and in what traces show of conversations."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

HIDDEN: Final = "***"
SECRET_NAME: Final = re.compile(r"(?i)password|secret|api_?key|credential|(?<!_)token$")
"""Names of fields whose values are hidden, whatever they are."""
# Every text passes through these, and `re` lets nothing else run meanwhile: each reads a text a fixed number of times.
# Where a beginning may lack its end, the match takes what it has read, and is put back as it was: no later beginning
# in there has an end either.
_VALUES: Final = (
    # `password=…`, `"api_key": "…"`, `Authorization: Bearer …`
    re.compile(
        r"(?i)((?:password|passwd|secret|token|api[_.-]?key|user\.info|credentials?)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&}]+"
    ),
    re.compile(r"(?i)((?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}"),
    # Of a URL the password, or a user without one: it may be a token. The last @ ends it: passwords have some, although
    # they should be written as %40.
    re.compile(r"(://[^/\s:@?#]*:)[^/\s?#\"'<>]+(?=@)"),
    re.compile(r"(://)[^/\s:@?#\"'<>]+(?=@)"),
)
_URL_IN_QUERY: Final = re.compile(r"(?i)(%3a%2f%2f)((?:(?!%40)[^\s&\"'<>])++)(%40)?")
"""A URL inside of another's query."""
_OF_SECRETS: Final = r"(?:passw|pwd|secret|token|key|sig|credential|auth)"
_PARAMETER: Final = re.compile(
    rf"(?i)([?&;](?:[^=&;\s#pstkca]++|(?!{_OF_SECRETS})[^=&;\s#])*+)"
    rf"(?:({_OF_SECRETS}[^=&;\s#]*+)(?:(=)[^&;\s#\"'<>]+)?)?"
)
"""What the query of a URL says of keys."""
_KEY: Final = re.compile(
    r"\bsk-[\w*-]{12,}"  # OpenAI, Anthropic and others; providers show refused ones with asterisks
    r"|\bAIza[\w-]{30,}"  # Google
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # AWS
    r"|\b(?:gsk|hf|xai|gh[opsu]|pplx|glpat)[_-][\w-]{16,}"  # Groq, Hugging Face, xAI, GitHub and others
)
"""Text in the form of a key."""
_TOKEN: Final = re.compile(r"\beyJ[\w-]{8,}+(?P<signed>\.[\w-]{8,}+\.[\w-]+)?")
"""A JSON Web Token, or what begins as one."""
_SHORTEST_SECRET: Final = 4
_VARIABLE: Final = re.compile(r"(?i)key|token|secret|passw|credential")
_SHORTEST_VALUE: Final = 8
"""Characters of a variable's value; a shorter one occurs in text that has nothing to do with it."""


def keys_in(text: str) -> Iterator[tuple[int, int]]:
    """From where to where the text has the form of a key."""
    for found in _TOKEN.finditer(text):
        if found["signed"]:
            yield found.span()
    for found in _KEY.finditer(text):
        yield found.span()


def without_keys(text: str) -> str:
    """The text without what has the form of a key."""
    return _KEY.sub(HIDDEN, _TOKEN.sub(lambda found: HIDDEN if found["signed"] else found[0], text))


def _without_credentials(found: re.Match[str]) -> str:
    return f"{found[1]}{HIDDEN}{found[3]}" if found[3] else found[0]


def _without_value(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}={HIDDEN}" if found[3] else found[0]


class Redaction:
    """Redacts secrets."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({each for each in secrets if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern in _VALUES:
            text = pattern.sub(rf"\g<1>{HIDDEN}", text)
        text = _URL_IN_QUERY.sub(_without_credentials, text)
        return without_keys(_PARAMETER.sub(_without_value, text))

    def content(self, content: Any) -> Any:
        """JSON data without secrets in its texts, and without values of fields that are secret by their name."""
        if isinstance(content, str):
            return self(content)
        if isinstance(content, Mapping):
            return {
                self(str(name)): HIDDEN
                if isinstance(value, str) and SECRET_NAME.search(str(name))
                else self.content(value)
                for name, value in content.items()
            }
        return [self.content(one) for one in content] if isinstance(content, list | tuple) else content


def secrets_in(environment: Mapping[str, str]) -> Iterator[str]:
    """Values of variables that are secret by their names, such as OPENAI_API_KEY."""
    for name, value in environment.items():
        if len(value) >= _SHORTEST_VALUE and _VARIABLE.search(name):
            yield value
