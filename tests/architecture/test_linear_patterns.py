"""No regular expression takes a time that grows faster than its text: `re` stops the whole process while it matches.

Each is tried with texts that are made of its own parts, at two lengths; only the growth counts, so a slow machine makes
no difference.
"""

import re

import pytest

from tests.support.all_patterns import Found, all_patterns, computed_patterns
from tests.support.pumping import pumps_of, slow_pump

COMPUTED = {
    "orchestrator.telemetry.redaction: '|'.join(map(re.escape, known))": "literals",
    "orchestrator.testing.cassettes.secrets: '|'.join(map(re.escape, longest_first))": "literals",
    "orchestrator_services.tools.csv_tables: TYPES[kind]": "all of them are module's own",
}
"""Expressions that are made while the program runs, and why none of them can be slow."""


@pytest.mark.parametrize("found", [pytest.param(one, id=one.place) for one in all_patterns()])
def test_an_expression_takes_time_in_proportion_to_its_text(found: Found) -> None:
    slow = slow_pump(found.run, pumps_of(found.pattern))

    assert slow is None, (
        f"{found.place}: {found.pattern.pattern!r} takes {slow[1]:.0f} times as long for eight times the text of "
        f"{slow[0]}. Let no two repetitions side by side take the same character, and no repetition run over what may "
        "be the next beginning."
    )


def test_an_expression_that_is_computed_has_a_reason() -> None:
    assert computed_patterns() == set(COMPUTED)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?i)<(?=\s*/?\s*data\b)",
        r"\s*(?:\r\n|\r|\n)\s*",
        r"(?i)(%3a%2f%2f)(?:(?!%40)[^\s&\"'<>])+(?=%40)",
        r"(?i)([?&;][^=&;\s#]*(?:passw|pwd|secret|token|key|sig|credential|auth)[^=&;\s#]*=)[^&;\s#\"'<>]+",
        r"\bsk-[\w*-]{12,}|\bAIza[\w-]{30,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+",
        r"(a+)+$",
        r"(\w|a)*!",
        r"[a-z]*=",
        r"\d{1,300}x{0,300}y",
        r"(?<!x)(?:ab|cd|-)+;",
    ],
)
def test_a_slow_expression_is_found(pattern: str) -> None:
    found = Found("here", re.compile(pattern))

    # The one with bounds is slow, but in proportion.
    assert (slow_pump(found.run, pumps_of(found.pattern)) is None) == ("{1,300}" in pattern)
