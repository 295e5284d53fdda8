"""Templates of playbooks: inputs are filled once, outputs of steps are left for later."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sdk import Output, rendered, steps_in

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("template", "content"),
    [
        ("${n}", 3),
        ("${ n }", 3),
        ("n=${n}", "n=3"),
        ("${s}${n}", "text3"),
        ("${l}!", '[1, "ü", null]!'),
        ("$${n}", "${n}"),
        ("$$${n}", "$${n}"),
        ("$${n} ${n}", "${n} 3"),
        ("$n {n} $", "$n {n} $"),
        (["${l}", {"${n}": "${s}"}], [[1, "ü", None], {"${n}": "text"}]),
        ({"$from": "a"}, Output("a")),
        ([{"x": {"$from": "a", "at": "/0"}}], [{"x": Output("a", "/0")}]),
        (None, None),
        (1.5, 1.5),
    ],
)
def test_a_template_is_filled(template: Any, content: Any) -> None:
    assert rendered(template, {"n": 3, "s": "text", "l": [1, "ü", None]}) == content


@given(JSON)
def test_a_whole_text_keeps_the_input_as_it_is(value: Any) -> None:
    assert rendered({"a": ["${x}"]}, {"x": value}) == {"a": [value]}


@given(st.text())
def test_escaped_text_comes_back(text: str) -> None:
    assert rendered(text.replace("${", "$${"), {}) == text


@given(st.text(alphabet="${}xy $from"))
def test_what_an_input_holds_is_never_rendered_again(text: str) -> None:
    assert rendered("<${x}>", {"x": text}) == f"<{text}>"


def test_the_steps_that_content_needs_are_found_at_any_depth() -> None:
    content = {"a": [{"$from": "one"}, {"b": {"$from": "two", "at": "/x"}}], "c": "${three}"}

    assert steps_in(content) == {"one", "two"}
