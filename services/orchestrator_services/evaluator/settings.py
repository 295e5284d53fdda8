"""Settings of the judge, in an agent's profile."""

from collections.abc import Mapping
from typing import Any

import pydantic

from orchestrator.sdk import InvalidInput
from orchestrator.sdk.messages import types


class JudgeSettings(pydantic.BaseModel):
    """What is judged, by whom, and how strictly."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    rubric: str | tuple[str, ...] = ()
    """What a good result is: a text, or points. Without one the goal alone counts."""
    model: str = ""
    """Model that judges; empty is the agent's."""
    votes: int = pydantic.Field(default=1, ge=1, le=15)
    """How many judgements there are; the majority decides. An odd number."""
    pass_score: float = pydantic.Field(default=0.7, ge=0, le=1)
    """Score, 0.0 to 1.0, from which on a judgement accepts the result."""

    @pydantic.field_validator("votes")
    @classmethod
    def _no_tie(cls, votes: int) -> int:
        if votes % 2 == 0:
            raise ValueError("it must be odd, so that one side has the majority")
        return votes

    @property
    def points(self) -> tuple[str, ...]:
        return (self.rubric,) if isinstance(self.rubric, str) else self.rubric

    def policy(self, of_agent: types.ModelPolicy | None) -> types.ModelPolicy:
        """The model to ask. Raises `InvalidInput` if neither the settings nor the agent name one."""
        if self.model:
            return types.ModelPolicy(name=self.model)
        if of_agent is None:
            raise InvalidInput(
                "the judge has no model: add model: PROVIDER:MODEL to evaluate.settings, or to the agent",
                code="no_model",
            )
        return of_agent


def judge_settings(given: Mapping[str, Any]) -> JudgeSettings:
    """The settings as a profile has them. Raises `InvalidInput` that lists every mistake."""
    try:
        return JudgeSettings.model_validate(given)
    except pydantic.ValidationError as error:
        wrong = [
            f"evaluate.settings.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        ]
        raise InvalidInput("; ".join(wrong), code="judge_settings") from error
