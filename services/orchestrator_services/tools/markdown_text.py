"""Markdown of others, made harmless: without HTML, images, and links that do more than lead somewhere.

Text of tools may come from anywhere. HTML runs in what shows the report, an image is fetched by it and tells whoever
serves it what its address says, and a `javascript:` link runs when it is followed.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

ALLOWED_SCHEMES: Final = frozenset({"http", "https", "mailto"})
SCHEME: Final = re.compile(r"[\x00-\x20]*([A-Za-z][A-Za-z0-9+.\x00-\x20-]*):")
# Beginnings of HTML and autolinks. Any other < is only a character.
TAG: Final = re.compile(r"<(?=[A-Za-z/!?])")
IMAGE: Final = re.compile(r"!(?=\[)")
BRACKET: Final = re.compile(r"\[")
CODE_OR_ESCAPE: Final = re.compile(r"\\.|`+", re.DOTALL)
BACKTICKS: Final = re.compile(r"`+")
PARAGRAPH_END: Final = re.compile(r"\n[ \t>]*(?=\n)")
MARKUP: Final = re.compile(r"([\\`*_\[\]<>|!&])")
BLANK: Final = re.compile(r"[\x00-\x20]")
# Controls of terminals, and of the direction of writing.
HIDDEN: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


def harmless(text: str) -> str:
    """The text with the same meaning to a reader of CommonMark, but for HTML, which is shown as text, images, which
    become links, and links of other schemes than http, https and mailto, which become text."""
    text = HIDDEN.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _outside_code(text)
    # What breaks a link may make another one: brackets nest.
    for _ in range(3):
        bad = list(_bad_lines(_parse(text)))
        if not bad:
            return _closed(text)
        text = _without_links(text, bad)
    # Not reached by any text that is known; nothing of it is markup any more.
    return MARKUP.sub(lambda found: f"&#{ord(found[0])};", text)


def without_hidden(text: str) -> str:
    """The text, with characters that are not shown but do something in a mark's place."""
    return HIDDEN.sub("\ufffd", text)


def _outside_code(text: str) -> str:
    """Escapes HTML and images wherever they are not code."""
    lines = text.split("\n")
    code = _code_lines(text)
    changed, start = [], 0
    while start < len(lines):
        end = start + 1
        while end < len(lines) and (end in code) == (start in code):
            end += 1
        part = "\n".join(lines[start:end])
        changed.append(part if start in code else _escaped(part))
        start = end
    return "\n".join(changed)


def _code_lines(text: str) -> set[int]:
    """Lines of blocks of code, as they are when no HTML is left: HTML would hide where code begins."""
    found: set[int] = set()
    for token in _PLAIN.parse(text):
        if token.type in ("fence", "code_block") and token.map:
            found.update(range(*token.map))
    return found


def _escaped(text: str) -> str:
    """Escapes HTML and images, but in spans of code. A span is closed by as many backticks as open it."""
    parts, position = [], 0
    closings = _Closings(text)
    while found := CODE_OR_ESCAPE.search(text, position):
        end = found.end()
        closing = closings.after(end, len(found[0])) if found[0].startswith("`") else None
        if closing is not None:
            parts += [_entities(text[position : found.start()]), text[found.start() : closing]]
            position = closing
        else:
            parts.append(_entities(text[position:end]))
            position = end
    parts.append(_entities(text[position:]))
    return "".join(parts)


class _Closings:
    """Where spans of code end; found once for the whole text, which may have as many beginnings as characters."""

    def __init__(self, text: str) -> None:
        self._runs: defaultdict[int, list[int]] = defaultdict(list)
        """Of each number of backticks where there are as many."""
        for found in BACKTICKS.finditer(text):
            self._runs[len(found[0])].append(found.start())
        self._paragraph_ends = [found.start() for found in PARAGRAPH_END.finditer(text)]

    def after(self, position: int, backticks: int) -> int | None:
        """The end of the span that as many backticks before the position open; None if it is no span: none goes over
        the end of its paragraph."""
        runs = self._runs[backticks]
        index = bisect_left(runs, position)
        if index == len(runs):
            return None
        paragraph = bisect_left(self._paragraph_ends, position)
        is_over = paragraph < len(self._paragraph_ends) and self._paragraph_ends[paragraph] < runs[index]
        return None if is_over else runs[index] + backticks


def _entities(text: str) -> str:
    return IMAGE.sub("&#33;", TAG.sub("&lt;", text))


def _closed(text: str) -> str:
    """The text with its last block of code closed: what follows in a report would be code too, and the other way
    round after the next."""
    tokens = _PLAIN.parse(f"{text}\n\nend")
    last = tokens[-1]
    return f"{text.rstrip()}\n{last.markup}" if last.type == "fence" else text


def _parse(text: str) -> list[Token]:
    """All tokens of the text; definitions of links are tokens too, of a type of their own."""
    environment: dict[str, Any] = {}
    tokens = _WHOLE.parse(text, environment)
    for definition in environment.get("references", {}).values():
        attributes: dict[str, str | int | float] = {"href": str(definition["href"])}
        tokens.append(Token("definition", "", 0, attrs=attributes, map=definition["map"]))
    return tokens


def _bad_lines(tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """The lines of what is not harmless."""
    for token in tokens:
        inner = [token, *(token.children or ())]
        if token.map and any(map(_is_bad, inner)):
            yield token.map[0], token.map[1]


def _is_bad(token: Token) -> bool:
    if token.type in ("html_block", "html_inline", "image"):
        return True
    href = token.attrGet("href")
    scheme = SCHEME.match(str(href)) if href else None
    return scheme is not None and BLANK.sub("", scheme[1]).lower() not in ALLOWED_SCHEMES


def _without_links(text: str, places: list[tuple[int, int]]) -> str:
    lines = text.split("\n")
    for begin, end in places:
        for number in range(begin, min(end, len(lines))):
            lines[number] = IMAGE.sub("&#33;", lines[number].replace("<", "&lt;")).replace("[", "&#91;")
    return "\n".join(lines)


def _parser(*, html: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": html}).enable("table")
    # It leaves dangerous links as text, which others do not.
    parser.validateLink = lambda _url: True  # type: ignore[method-assign,assignment]
    return parser


_WHOLE: Final = _parser(html=True)
_PLAIN: Final = _parser(html=False)
