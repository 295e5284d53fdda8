"""Text and data of tools in reports: shown as text, without HTML, images and links that run something."""

import json
import re
from typing import Any, Final

from markdown_it import MarkdownIt
from orchestrator_services.tools.markdown_text import harmless
from orchestrator_services.tools.report import Section, markdown

from tests.fuzz.target import promise
from tests.fuzz.targets.text import text_target

_READER: Final = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_READER.validateLink = lambda _url: True  # type: ignore[method-assign,assignment]
_SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.\s\x00-]*):")
_OWN: Final = "<br>"
_GRAMMAR: Final = {
    "start": ("<block>", "<block>\n\n<block>", "<block>\n<block>\n<block>", "<data>"),
    "block": (
        "a",
        "<line>",
        "# <line>",
        "- <line>\n  - <line>",
        "> <line>",
        "1. <line>",
        "```<line>\n<line>\n```",
        "~~~\n<line>",
        "    <line>",
        "\t<line>",
        "| a | b |\n|---|---|\n| <line> | <line> |",
        "[x]: <target> '<line>'",
        "<html>",
        "<line>\n===",
        "- ```\n  <line>",
        "> ```\n<line>",
        "***",
    ),
    "line": (
        "a",
        "<html>",
        "[<line>](<target>)",
        "![<line>](<target>)",
        "![x]",
        "[x][]",
        "[<line>][x]",
        "`<line>`",
        "``<line>` `<line>``",
        "\\<line>",
        "<line> <line>",
        "**<line>**",
        "&lt;<line>",
        "&#60;script&#62;",
        "&#x21;[x](y)",
        "!\\[x](y)",
        "\\![x](y)",
        "\\\\![x](y)",
        "<target>",
        "$a<b",
    ),
    "html": (
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<!-- <line> -->",
        "<?php ?>",
        "<![CDATA[<line>]]>",
        "<!DOCTYPE html>",
        "</div>",
        "<a href='<target>'>",
        "<svg/onload=alert(1)>",
        "<\nscript>",
        "<https://a.example>",
        "<javascript:alert(1)>",
        "<x@y.z>",
        "<scr\0ipt>",
        "<pre>\n<line>\n\n<line>",
    ),
    "target": (
        "https://a.example/x",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        "&#106;avascript:alert(1)",
        "\\javascript:x",
        "data:text/html,<script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//a.example",
        "mailto:a@b",
        "<javascript:alert(1)>",
        "#x",
        "\x01javascript:x",
        "javascript&colon;alert(1)",
    ),
    "data": (
        '{"a": "<line>", "b": [<item>, <item>]}',
        '[{"<line>": "<line>"}, {"x": <item>}]',
        '{"columns": ["a"], "rows": [{"a": <item>}]}',
    ),
    "item": ("1", '"<line>"', "null", "[1, <item>]", '{"k": <item>}', "1e300", "true"),
}


def check(text: str) -> None:
    _harmless(harmless(text))
    try:
        data: Any = json.loads(text)
    except ValueError:
        data = text
    made = markdown.function(
        title=text.strip() or "t",
        sections=[Section(heading=text, body=data), Section(heading="b", body=text)],
        z=data,
    )
    _harmless(made.markdown)
    # What comes behind a text is not swallowed by it.
    promise(made.markdown.rstrip().endswith(_last(made.markdown)), "a report is whole")


def _last(text: str) -> str:
    return text.rstrip()[-1:]


def _harmless(text: str) -> None:
    for token in _READER.parse(text):
        for one in (token, *(token.children or ())):
            promise(one.type != "html_block", f"HTML is left: {one.content[:100]!r}")
            promise(one.type != "html_inline" or one.content == _OWN, f"HTML is left: {one.content[:100]!r}")
            promise(one.type != "image", f"an image is left: {one.attrGet('src')!r}")
            href = one.attrGet("href")
            scheme = _SCHEME.match(str(href)) if href else None
            known = re.sub(r"[\s\x00]", "", scheme[1]).lower() if scheme else "https"
            promise(known in ("http", "https", "mailto"), f"a link is left: {href!r}")


TARGETS: Final = (
    text_target(
        "markdown",
        _GRAMMAR,
        check,
        ("orchestrator_services.tools.markdown", "orchestrator_services.tools.markdown_text"),
        longest=300,
        inputs=600,
        reaches=0.88,
        suffix="md",
    ),
)
