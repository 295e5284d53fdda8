"""Agents that ask models, in YAML."""

import json
from pathlib import Path

import pytest

from orchestrator.messages.types import AgentProfile, OnExhausted
from orchestrator.messages.values import read_json
from orchestrator.sdk import ConfigurationError, parse_documents

AGENT = """\
agent: desk
planner: react
model:
  name: openai:gpt-5-mini
  fallback: [openai:gpt-5]
  settings: {temperature: 0}
instructions: Cite what you found.
output:
  type: object
  properties: {answer: {type: string}}
examples:
  - goal: How many?
    result: {answer: three}
show:
  context: [customer]
  memory: false
on_exhausted: escalate
limits: {turns: 12}
evaluate:
  evaluator: judge
  settings: {rubric: It cites its sources.}
"""


def profile_of(text: str, file: str = "text") -> AgentProfile:
    (profile,) = parse_documents(text, file).profiles
    return profile


def test_everything_that_an_agent_says_about_its_model_is_read() -> None:
    profile = profile_of(AGENT)

    model = profile.model
    assert model is not None
    assert (model.name, model.fallback) == ("openai:gpt-5-mini", ("openai:gpt-5",))
    assert json.loads(model.settings) == {"temperature": 0}
    assert read_json(model.instructions) == "Cite what you found."
    assert json.loads(model.output_schema)["type"] == "object"
    assert read_json(model.examples) == [{"goal": "How many?", "result": {"answer": "three"}}]
    assert (model.context_keys, model.shows_memory) == (("customer",), False)
    assert profile.on_exhausted is OnExhausted.ESCALATE
    assert profile.limits.turns == 12
    assert json.loads(profile.evaluation.settings) == {"rubric": "It cites its sources."}


def test_the_name_of_a_model_is_enough() -> None:
    model = profile_of("{agent: desk, planner: react, model: openai:gpt-5-mini}").model

    assert model is not None
    assert (model.name, model.fallback, model.settings) == ("openai:gpt-5-mini", (), "{ }")
    assert (model.instructions, model.output_schema, model.context_keys) == (None, "", ())
    assert model.shows_context


def test_a_model_may_be_shown_nothing_of_the_context() -> None:
    model = profile_of("{agent: desk, planner: react, model: a:b, show: {context: []}}").model

    assert model is not None
    assert not model.shows_context


def test_instructions_may_stand_in_a_file_beside_the_definition(tmp_path: Path) -> None:
    (tmp_path / "desk.md").write_text("Be brief.")
    definition = tmp_path / "desk.yaml"
    definition.write_text("agent: desk\nplanner: react\nmodel: a:b\ninstructions: {file: desk.md}\n")

    model = profile_of(definition.read_text(), str(definition)).model

    assert model is not None
    assert read_json(model.instructions) == "Be brief."


def test_changed_instructions_have_another_hash() -> None:
    texts = ("Be brief.", "Be thorough.")
    models = [
        profile_of(f"{{agent: desk, planner: react, model: a:b, instructions: {text}}}").model
        for text in texts
    ]

    hashes = {model.instructions.sha256 for model in models if model and model.instructions}
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "agent: desk\nplanner: react\nmodel: a:b\ninstructions: {file: missing.md}",
            "'missing.md' cannot be read",
        ),
        ("agent: desk\ninstructions: Be brief.", "add the model that instructions"),
        ("agent: desk\nplanner: react\nmodel: a:b\nmodle: c", "did you mean model?"),
        (
            "agent: desk\nplanner: react\nmodel: {name: a:b, api_key: x}",
            "unknown key; the known keys are name, fallback, settings",
        ),
        ("agent: desk\nmodel: a:b", "add planner: react"),
        ("agent: desk\nplanner: react\nmodel: a:b\non_exhausted: shrug", "report"),
        ("agent: desk\nplanner: react\nmodel: a:b\nlimits: {turns: 0}", "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_reported_with_its_place(text: str, problem: str, tmp_path: Path) -> None:
    definition = tmp_path / "desk.yaml"
    definition.write_text(text)

    with pytest.raises(ConfigurationError) as raised:
        parse_documents(text, str(definition))

    (reported,) = raised.value.problems
    assert reported.startswith(f"{definition}:")
    assert problem in reported


def test_a_text_that_is_in_no_file_cannot_name_one() -> None:
    with pytest.raises(ConfigurationError, match="write the instructions themselves"):
        parse_documents("agent: desk\nplanner: react\nmodel: a:b\ninstructions: {file: desk.md}")


@pytest.mark.parametrize(
    "settings",
    [
        "{api_key: not-for-everybody}",
        "{seed: sk-not-for-everybody}",
        "{extra_headers: {Authorization: Bearer not-for-everybody}}",
        "{openai_organization_token: not-for-everybody}",
    ],
)
def test_a_credential_is_refused_before_it_is_published(settings: str) -> None:
    with pytest.raises(
        ConfigurationError, match="looks like a credential, and profiles are published"
    ) as raised:
        parse_documents(f"agent: desk\nplanner: react\nmodel: {{name: a:b, settings: {settings}}}")

    assert "not-for-everybody" not in str(raised.value)


def test_settings_that_only_sound_like_credentials_are_taken() -> None:
    given = "{max_tokens: 10, openai_prompt_cache_key: desk, logit_bias: {a: 1}}"

    assert profile_of(f"{{agent: desk, planner: react, model: {{name: a:b, settings: {given}}}}}").model
