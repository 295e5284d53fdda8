"""What reads texts of others takes time in proportion to them: a few kilobytes once stopped whole processes."""

from collections.abc import Callable

import pytest
from orchestrator_services.prompting.data import data
from orchestrator_services.tools.markdown import inline
from orchestrator_services.tools.markdown_text import harmless
from orchestrator_services.tools.paths import glob_matches

from orchestrator.sdk import readable
from orchestrator.telemetry.logs import bounded
from orchestrator.telemetry.redaction import Redaction
from tests.support.pumping import Pump, growth, slow_pump

REDACT = Redaction(["a-known-secret"])
URLS = ["?key", "?", "&token", "://", "%3a%2f%2f", "https://a:b", "a@", ":", "%40"]
KEYS = ["eyJ-", "-eyJaaaaaaaa", "eyJaaaaaaaa.", "sk-", "AIza", "password ", "password=", "bearer ", "token:"]
MARKDOWN = ["`", "` `` ", "<", "![", "[a](", "*a ", "> ", "|a", "\n\n", "\\", "[a]: b\n", "``\n\n", "1. "]


@pytest.mark.parametrize("unit", [*URLS, *KEYS])
def test_redaction(unit: str) -> None:
    assert slow_pump(REDACT, [Pump(unit), Pump(unit, "x", "\0"), Pump(unit, "://")]) is None


@pytest.mark.parametrize("prefix", ["<", "</", "<data", ""])
def test_data_for_models(prefix: str) -> None:
    assert slow_pump(data, [Pump(unit, prefix) for unit in (" ", "<", "/", "\n", "< ", "<data ")]) is None


@pytest.mark.parametrize("unit", [" ", "\t", "\n", " \n", "\r", "|", "`"])
def test_a_value_within_a_line(unit: str) -> None:
    assert slow_pump(inline, [Pump(unit, "a", "b")]) is None


@pytest.mark.parametrize("unit", MARKDOWN)
def test_markdown_of_others(unit: str) -> None:
    assert slow_pump(harmless, [Pump(unit), Pump(unit, "a ")]) is None


@pytest.mark.parametrize("function", [readable, lambda text: bounded(text, REDACT)])
def test_messages_of_failures(function: Callable[[str], str]) -> None:
    assert slow_pump(function, [Pump(unit) for unit in [*URLS, *KEYS]]) is None


@pytest.mark.parametrize("unit", ["**/", "*", "a/", "[", "*a"])
def test_patterns_of_file_names(unit: str) -> None:
    assert growth(lambda pattern: glob_matches("a/b/c.txt", f"{pattern}x"), Pump(unit)) < 24
    assert growth(lambda name: glob_matches(name, "**/a*a*/**/b"), Pump("a/" if unit == "**/" else "a")) < 24
