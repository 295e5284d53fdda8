"""The rules of the safety monitor, in YAML.

```yaml
max_steps: 50
forbid_tools: ["shell.*", files.delete]
reject:
  - when: step.arguments.path.startsWith("/etc")
    reason: agents must not touch system files
  - when: plan.steps.filter(s, s.tool == "http.get").size() > 10
    reason: too many requests
  - when: plan.steps.exists(s, has(s.arguments.url) && s.arguments.url.startsWith("http:"))
    reason: nothing goes over plain HTTP
```

A rule that cannot be evaluated rejects. Only one about `step` alone passes a step that lacks a key which it names: one
about `plan` has to ask with `has`, because steps of other tools have other keys. What comes from other steps is null.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.sdk import ConfigurationError, read_yaml
from orchestrator_services.expressions import Expression, ExpressionError, compiled

VARIABLES: Final = ("plan", "step")


class Rule(BaseModel):
    """Rejects a plan if `when` is true: for the plan, or for any of its steps if it uses `step`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: str
    reason: str = ""


class Rules(BaseModel):
    """What plans must not do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_steps: int = Field(default=100, ge=1)
    forbid_tools: tuple[str, ...] = ()
    reject: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class CompiledRules:
    """Rules whose expressions are compiled."""

    rules: Rules
    expressions: tuple[Expression, ...]


def read_rules(file: Path | None) -> CompiledRules:
    """The rules of a file; the defaults without one. Raises `ConfigurationError` that lists every mistake."""
    if file is None:
        return CompiledRules(Rules(), ())
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the safety rules {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the safety rules {file} are not UTF-8 text") from error
    content = read_yaml(text, str(file))
    try:
        rules = Rules.model_validate({} if content is None else content)
    except ValidationError as error:
        raise ConfigurationError(
            *(f"{file}: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}" for wrong in error.errors())
        ) from error
    return CompiledRules(rules, _compiled(rules, file))


def _compiled(rules: Rules, file: Path) -> tuple[Expression, ...]:
    found: list[Expression] = []
    problems: list[str] = []
    for index, rule in enumerate(rules.reject):
        try:
            found.append(compiled(rule.when, VARIABLES))
        except ExpressionError as error:
            problems.append(f"{file}: reject.{index}.when: {error}")
    if problems:
        raise ConfigurationError(*problems)
    return tuple(found)
