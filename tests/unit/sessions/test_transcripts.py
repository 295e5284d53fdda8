"""What is said in a conversation: pydantic-ai's messages by their parts, any other JSON as it is."""

from typing import Any

import pytest

from orchestrator.messages.types import Value
from orchestrator.sessions.transcripts import Kind, Said, Transcript, reference_in, resolved
from tests.support.analysts import calls, responds, returns, text

REFERENCE = {"$value": {"uri": "values:sha256/ab", "size": 3, "sha256": "ab"}, "step": "turn1-1"}


def said(*messages: Any) -> list[tuple[str, Any]]:
    return [(one.speaker, one.content) for one in Transcript().said_in(messages)]


def request(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"kind": "request", "parts": list(parts), **fields}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"part_kind": "system-prompt", "content": "Be brief."}, ("system", "Be brief.")),
        ({"part_kind": "user-prompt", "content": "Why?"}, ("user", "Why?")),
        (
            {
                "part_kind": "user-prompt",
                "content": [
                    "Look:",
                    {"kind": "image-url", "url": "https://shop.example/a.png", "vendor_metadata": None},
                    {"kind": "binary", "data": "YWJj", "media_type": "image/png"},
                ],
            },
            (
                "user",
                'Look:\n{"kind":"image-url","url":"https://shop.example/a.png"}\n'
                '{"kind":"binary","data":"3 bytes","media_type":"image/png"}',
            ),
        ),
        (
            {"part_kind": "retry-prompt", "content": "no such column", "tool_name": "sql"},
            ("sql is refused", "no such column"),
        ),
        ({"part_kind": "retry-prompt", "content": "not JSON"}, ("user asks again", "not JSON")),
        ({"part_kind": "retry-feedback", "content": "not JSON"}, ("user asks again", "not JSON")),
        (
            {"part_kind": "instruction-delta", "text": "Be exact."},
            ("user, instruction-delta", {"part_kind": "instruction-delta", "text": "Be exact."}),
        ),
    ],
)
def test_a_request_says_what_the_model_is_told(part: dict[str, Any], expected: tuple[str, Any]) -> None:
    assert said(request(part)) == [expected]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (text("Done."), [("model", "Done.")]),
        ({"part_kind": "thinking", "content": "hm"}, [("model thinks", "hm")]),
        ({"part_kind": "thinking", "content": "", "signature": "xyz"}, []),
        (calls("sql", "a", {"q": 1}), [("model calls sql #1", {"q": 1})]),
        (calls("sql", "a", '{"q": 1}'), [("model calls sql #1", {"q": 1})]),
        (calls("sql", "a", '{"q": '), [("model calls sql #1", '{"q": ')]),
        (calls("sql", "a", None), [("model calls sql #1", None)]),
        ({"part_kind": "builtin-tool-call", "tool_name": "web", "args": {}}, [("model calls web", {})]),
        (
            {"part_kind": "file", "content": {"data": "YWJj", "media_type": "image/png"}},
            [
                (
                    "model, file",
                    {"part_kind": "file", "content": {"data": "3 bytes", "media_type": "image/png"}},
                )
            ],
        ),
    ],
)
def test_a_response_says_what_the_model_says(part: dict[str, Any], expected: list[tuple[str, Any]]) -> None:
    assert said(responds(part)) == expected


def test_an_output_has_the_number_of_its_call() -> None:
    assert said(
        responds(calls("sql", "a", {}), calls("sql", "b", {})),
        request(returns("sql", "b", [2]), returns("sql", "a", [1])),
        responds(calls("sql", "c", {})),
    ) == [
        ("model calls sql #1", {}),
        ("model calls sql #2", {}),
        ("sql #2 returns", [2]),
        ("sql #1 returns", [1]),
        ("model calls sql #3", {}),
    ]


def test_ids_that_are_used_again_are_other_calls() -> None:
    once = (responds(calls("sql", "call_0", {})), request(returns("sql", "call_0", [])))

    assert [speaker for speaker, _ in said(*once, *once)] == [
        "model calls sql #1",
        "sql #1 returns",
        "model calls sql #2",
        "sql #2 returns",
    ]


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        ("success", "sql returns"),
        ("failed", "sql fails"),
        ("denied", "sql is denied"),
        ("retried", "sql is refused"),
    ],
)
def test_what_a_tool_did_not_return_is_called_so(outcome: str, shown: str) -> None:
    assert said(request(returns("sql", "a", "text", outcome=outcome))) == [(shown, "text")]


def test_instructions_are_shown_where_they_change() -> None:
    asked = {"part_kind": "user-prompt", "content": "Why?"}

    found = said(
        request(asked, instructions="Be brief."),
        request(asked, instructions="Be brief."),
        request(asked, instructions="Be exact."),
    )

    assert [content for speaker, content in found if speaker == "system"] == ["Be brief.", "Be exact."]


@pytest.mark.parametrize(
    "message",
    [
        "hello",
        None,
        7,
        ["a"],
        {"role": "user", "content": "hello"},
        {"kind": "request"},
        {"kind": "request", "parts": "none"},
        {"kind": "request", "parts": ["text"]},
        {"kind": "note", "parts": []},
    ],
)
def test_a_message_of_another_form_is_shown_as_it_is(message: Any) -> None:
    assert list(Transcript().said_in([message])) == [Said("message", message, Kind.DATA)]


def test_an_object_that_stands_for_a_value_is_found() -> None:
    assert reference_in(REFERENCE) == Value(uri="values:sha256/ab", size=3, sha256="ab")


@pytest.mark.parametrize(
    "content", [{"$value": 7}, {"$value": {"size": "big"}}, {"value": {}}, ["$value"], "x"]
)
def test_other_content_stands_for_no_value(content: Any) -> None:
    assert reference_in(content) is None


def test_values_are_resolved_at_any_depth() -> None:
    found = resolved({"parts": [{"content": REFERENCE}, 1]}, lambda value: f"{value.size} bytes")

    assert found == {"parts": [{"content": {**REFERENCE, "content": "3 bytes"}}, 1]}


def test_notes_of_a_planner_are_lines() -> None:
    route = {"kind": "route", "profile": {"name": "counter"}, "to": "agent counter", "why": "it counts"}
    critique = {"kind": "critique", "acceptable": False, "criticism": "cite it"}

    assert said(route, critique) == [
        ("note, route", 'to: agent counter\nwhy: it counts\nprofile: {"name":"counter"}'),
        ("note, critique", "acceptable: no\ncriticism: cite it"),
    ]


def test_an_output_that_the_conversation_holds_is_shown_as_itself() -> None:
    held = {"$inline": {"pieces": 3}, "step": "turn1-1", "tool": "stock.level"}

    assert said(request(returns("stock.level", "a", held))) == [("stock.level returns", {"pieces": 3})]


def test_outputs_among_words_are_readable() -> None:
    held = {"$inline": [1, 2], "step": "plan1-a", "tool": "sql"}
    loaded = {**REFERENCE, "content": "all of it"}
    content = ["What the steps came to:", held, REFERENCE, loaded]

    assert said(request({"part_kind": "user-prompt", "content": content})) == [
        (
            "user",
            "What the steps came to:\n"
            "output of step plan1-a: [1,2]\n"
            "output of step turn1-1: 3 bytes of application/json, values:sha256/ab\n"
            "output of step turn1-1: all of it",
        )
    ]
