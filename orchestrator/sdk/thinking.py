"""How an agent thinks, in its YAML: with which model, on which instructions, and what it is shown."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pydantic

from orchestrator.errors import ConfigurationError
from orchestrator.messages.types import ModelPolicy, Value
from orchestrator.messages.values import json_value
from orchestrator.sdk.credentials import credentials_in
from orchestrator.sdk.grammar import Grammar
from orchestrator.sdk.text_files import FileRefusedError, read_text_below
from orchestrator.sdk.yaml_bounds import MOST_CHARACTERS


def _short_model(given: Any) -> Any:
    return {"name": given} if isinstance(given, str) else given


class Model(Grammar):
    """The model that the agent asks, also written as its name alone."""

    name: str = pydantic.Field(min_length=1, description="PROVIDER:MODEL, such as openai:gpt-5-mini.")
    fallback: list[str] = pydantic.Field(
        default_factory=list, description="Models to ask, in this order, where the first does not respond."
    )
    settings: dict[str, Any] = pydantic.Field(
        default_factory=dict, description="Settings of each request, such as temperature and max_tokens."
    )

    @pydantic.field_validator("settings")
    @classmethod
    def _without_credentials(cls, settings: dict[str, Any]) -> dict[str, Any]:
        # Profiles are published: refused here, before anything is sent.
        if found := list(credentials_in(settings)):
            raise ValueError(
                f"{', '.join(found)} looks like a credential, and profiles are published: set it in the environment "
                "of the planner's process, and replace it at its provider if this text has been shared"
            )
        return settings


class TextFile(Grammar):
    """A text in a file, by its path from the document that names it: a regular file in its folder or below."""

    file: str


class Example(Grammar):
    """A task and what it should lead to."""

    goal: str
    result: Any


class Shown(Grammar):
    """What of the task the model is shown besides its goal."""

    context: list[str] | None = pydantic.Field(
        default=None,
        description="Keys of the task's context; left out, all of them; an empty list shows none.",
    )
    memory: bool = True


class Thinking(Grammar):
    """The keys of an agent that asks a model."""

    model: Annotated[Model | None, pydantic.BeforeValidator(_short_model)] = None
    instructions: str | TextFile = pydantic.Field(
        default="", description="What the agent is told about its work; a text, or file: PATH."
    )
    output: dict[str, Any] | None = pydantic.Field(
        default=None, description="JSON Schema that the result must fit; left out, the result is text."
    )
    examples: list[Example] = pydantic.Field(default_factory=list)
    show: Shown = Shown()

    def thinking(self, folder: Path | None) -> ModelPolicy | None:
        """The policy as messages carry it; None for an agent that asks no model.

        `folder` is where the paths of files start. Raises `ConfigurationError` for a file that cannot be read.
        """
        if self.model is None:
            if self.instructions or self.output or self.examples:
                raise ConfigurationError(
                    "model: add the model that instructions, output and examples are for, such as openai:gpt-5-mini"
                )
            return None
        examples = [{"goal": one.goal, "result": one.result} for one in self.examples]
        return ModelPolicy(
            name=self.model.name,
            fallback=tuple(self.model.fallback),
            settings=json_text(self.model.settings),
            instructions=self._instructions(folder),
            output_schema=json_text(self.output) if self.output is not None else "",
            examples=json_value(examples) if examples else None,
            shows_context=self.show.context != [],
            context_keys=tuple(self.show.context or ()),
            shows_memory=self.show.memory,
        )

    def _instructions(self, folder: Path | None) -> Value | None:
        given = self.instructions
        text = _read(given.file, folder) if isinstance(given, TextFile) else given
        return json_value(text) if text.strip() else None


def _read(name: str, folder: Path | None) -> str:
    if folder is None:
        raise ConfigurationError(
            f"instructions: {name} is named by a text that is not in a file: write the instructions themselves"
        )
    try:
        # The text is published and sent to a model, and whoever applies a document need not have written it.
        text = read_text_below(folder, name)
    except FileRefusedError as error:
        raise ConfigurationError(f"instructions: {name!a} {error}") from error
    if len(text) > MOST_CHARACTERS:
        raise ConfigurationError(
            f"instructions: {name!a} has {len(text)} characters; at most {MOST_CHARACTERS} are allowed"
        )
    return text


def json_text(content: Any) -> str:
    """Settings and schemas as messages carry them; nothing as the schemas' defaults have it."""
    return msgspec.json.encode(content).decode() if content else "{ }"
