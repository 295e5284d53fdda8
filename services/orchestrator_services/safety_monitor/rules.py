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
  - when: step.arguments.files.exists(f, !has(f.path) || f.path.startsWith("/etc"))
    reason: no file of a list is a system file either
```

A rule that cannot be evaluated rejects. Only one about `step` alone passes a step whose arguments lack a key that it
names itself, as `step.arguments.path` does: one about `plan` has to ask with `has`, because steps of other tools have
other keys, and so has one about items of a list, because whoever writes the list may add others. What comes from other
steps is null.

A step may run its tool, each of its fallbacks and, if it names a capability, each tool that has it. A rule about `step`
is asked about all of them, each as `step.tool`. In one about `plan` they are `may_run`: `"shell.run" in s.may_run`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.sdk import ConfigurationError, read_yaml
from orchestrator_services.expressions import Expression, ExpressionError, compiled
from orchestrator_services.safety_monitor.keys import STEP, Keys, alternatives, keys_of

PLAN: Final = "plan"
VARIABLES: Final = (PLAN, STEP)


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
class CompiledRule:
    """A rule whose expression is compiled."""

    source: str
    reason: str
    names_plan: bool
    names_step: bool
    names_tool: bool
    """Whether it could differ by the tool of the step."""
    parts: tuple[tuple[Expression, Keys], ...]
    """It is true if one of them is."""

    @classmethod
    def of(cls, rule: Rule) -> "CompiledRule":
        """Raises `ExpressionError`."""
        expression = compiled(rule.when, VARIABLES)
        members = expression.members(STEP)
        return cls(
            source=rule.when,
            reason=rule.reason or rule.when,
            names_plan=expression.names(PLAN),
            names_step=expression.names(STEP),
            names_tool=members is None or "tool" in members,
            parts=tuple((part, keys_of(part)) for part in alternatives(expression, VARIABLES)),
        )


@dataclass(frozen=True)
class CompiledRules:
    """Rules whose expressions are compiled."""

    rules: Rules
    compiled: tuple[CompiledRule, ...]


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


def _compiled(rules: Rules, file: Path) -> tuple[CompiledRule, ...]:
    found: list[CompiledRule] = []
    problems: list[str] = []
    for index, rule in enumerate(rules.reject):
        try:
            found.append(CompiledRule.of(rule))
        except ExpressionError as error:
            problems.append(f"{file}: reject.{index}.when: {error}")
    if problems:
        raise ConfigurationError(*problems)
    return tuple(found)
