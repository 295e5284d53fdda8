"""What `docs/agents.md` says about profiles, models and strategies is what the code has."""

import re
from pathlib import Path

import pytest
from orchestrator_services.models import ModelsSettings
from orchestrator_services.prompting.outputs import MOST_SHOWN

from orchestrator.saga.limits import PLATFORM_LIMITS
from orchestrator.sdk import Planner, discover, parse_documents
from orchestrator.sdk.profiles import Agent, LimitsOf
from tests.support.pages import ROOT, blocks, inline

PAGE = ROOT / "docs" / "agents.md"
MODELS = ROOT / "services" / "orchestrator_services" / "models"
EVERY_AGENT_HAS = {"agent", "description", "playbook", "retry"}
"""Keys that the table leaves out: they are not about thinking."""


def first_column(heading: str) -> list[str]:
    """What stands in code quotes in the first column of the first table below a heading."""
    _, _, below = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    rows = re.findall(r"^\| (`.+?) \|", below.partition("\n## ")[0], re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([\w-]+)`", row)]


@pytest.mark.parametrize("text", blocks(PAGE, "yaml"))
def test_documents_are_accepted(text: str, tmp_path: Path) -> None:
    (tmp_path / "analyst.md").write_text("Be exact.")
    file = tmp_path / "agent.yaml"
    file.write_text(text)
    (profile,) = parse_documents(text, str(file)).profiles
    assert profile.model is not None
    assert profile.model.instructions is not None


def test_the_table_of_keys_has_every_key() -> None:
    keys = set(first_column("The profile")) - set(strategies())
    assert keys == set(Agent.model_fields) - EVERY_AGENT_HAS


def test_limits_are_those_of_profiles() -> None:
    assert set(first_column("Limits")) <= set(LimitsOf.model_fields)


def test_codes_of_failures_are_raised() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in MODELS.glob("*.py"))
    codes = first_column("Models")
    assert len(codes) > 10
    assert not [code for code in codes if f'"{code}"' not in sources]


def strategies() -> list[str]:
    text = PAGE.read_text(encoding="utf-8").partition("### Strategies")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)


def test_strategies_are_planners() -> None:
    assert strategies()
    assert set(strategies()) == set(discover().by_name(Planner)) - {"playbook"}


def test_settings_that_are_named_exist() -> None:
    prefix = "ORCHESTRATOR_MODELS_"
    named = {re.split(r"\W", text)[0] for text in inline(PAGE) if text.startswith(prefix)}
    assert named == {prefix + name.upper() for name in ModelsSettings.model_fields}


def test_defaults_that_are_named_are_those_of_the_settings() -> None:
    text, defaults = PAGE.read_text(encoding="utf-8"), ModelsSettings()
    assert f"`max_tokens` ({defaults.max_tokens} unless set)" in text
    assert f"`ORCHESTRATOR_MODELS_REQUEST_TIMEOUT` ({defaults.request_timeout:.0f} s" in text
    assert f"`ORCHESTRATOR_MODELS_MAX_REQUESTS` ({defaults.max_requests} in one turn" in text
    assert f"`turns` ({PLATFORM_LIMITS.turns} unless set)" in text
    assert f"more than {MOST_SHOWN:,} characters" in text
