"""The chart accepts the commands and values of the documentation."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from tests.deploy.charts import CHART, ROOT, Helm, shape, text_of

PAGES = (ROOT / "docs" / "deploy.md", CHART / "README.md")
FENCES = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language in all pages."""
    return [body for page in PAGES for kind, body in FENCES.findall(text_of(page)) if kind == language]


def helm_commands() -> list[list[str]]:
    """The words of every `helm install` and `helm upgrade`, without comments."""
    found = []
    for block in blocks("console"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:2] in (["helm", "install"], ["helm", "upgrade"]):
                found.append(words)
    return found


@pytest.mark.parametrize("values", blocks("yaml"))
def test_values_of_the_documentation_are_accepted(helm4: Helm, values: str, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(values)
    assert helm4.objects(shape("minimal"), file)


@pytest.mark.parametrize("words", helm_commands(), ids=" ".join)
def test_commands_of_the_documentation_are_accepted(helm4: Helm, words: list[str]) -> None:
    settings = [after for word, after in pairwise(words) if word == "--set"]
    assert settings
    # An upgrade starts from the values of the release.
    files = [shape("minimal")] if "--reset-then-reuse-values" in words else []
    assert helm4.template(*files, plain=settings).returncode == 0


def test_slots_of_an_upgrade_wait_until_the_services_are_replaced() -> None:
    key = "orchestrator.updateStrategy.rollingUpdate.partition="
    held = [words for words in helm_commands() if any(re.match(f"{key}[1-9]", word) for word in words)]
    assert held
    for words in held:
        assert {("--wait", "--timeout"), ("--timeout", "15m")} <= set(pairwise(words))


def test_every_helm_command_is_checked() -> None:
    assert len(helm_commands()) == sum(text_of(page).count("$ helm install") for page in PAGES) + sum(
        text_of(page).count("$ helm upgrade") for page in PAGES
    )
