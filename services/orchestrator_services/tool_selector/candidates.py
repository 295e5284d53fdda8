"""Which tools can do a step, and why the others cannot."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from orchestrator.sdk import InvalidInput, PermanentError
from orchestrator.sdk.messages import types
from orchestrator_services.policies import refusal
from orchestrator_services.tool_selector.arguments import Arguments

NOT_FOUND: Final = "tool_not_found"
NOT_ALLOWED: Final = "tool_not_allowed"
NONE_LEFT: Final = "no_tool_left"
DO_NOT_FIT: Final = "arguments_do_not_fit"
_MOST_NAMES: Final = 20


@dataclass(frozen=True)
class Rejected:
    """A tool that cannot do a step, and why."""

    code: str
    reason: str


def candidates(
    step: types.Step,
    arguments: Arguments,
    tools: Mapping[str, types.ToolDefinition],
    policy: types.ToolPolicy,
    avoid: Iterable[str],
) -> dict[str, types.ToolDefinition]:
    """Tools that can do the step: the one it names or those with its capability, by name, then its fallbacks.

    Raises `InvalidInput` or `PermanentError` if none is left, with the reason for each tool.
    """
    tried = frozenset(avoid)
    found: dict[str, types.ToolDefinition] = {}
    rejected: list[Rejected] = []
    for name in _named(step, tools):
        judged = _judged(name, arguments, tools, policy, tried)
        if isinstance(judged, Rejected):
            rejected.append(judged)
        else:
            found[name] = judged
    if not found:
        raise _nothing_left(step, rejected, tools)
    return found


def unfit(
    step: types.Step,
    arguments: Arguments,
    tools: Mapping[str, types.ToolDefinition],
    policy: types.ToolPolicy,
    avoid: Iterable[str],
) -> tuple[str, ...]:
    """Tools that could do the step if its arguments fitted them."""
    tried = frozenset(avoid)
    judged = {name: _judged(name, arguments, tools, policy, tried) for name in _named(step, tools)}
    return tuple(
        name for name, found in judged.items() if isinstance(found, Rejected) and found.code == DO_NOT_FIT
    )


def _named(step: types.Step, tools: Mapping[str, types.ToolDefinition]) -> list[str]:
    with_capability = (
        sorted(name for name, tool in tools.items() if step.capability in tool.capabilities)
        if step.capability
        else ([step.tool] if step.tool else [])
    )
    return list(dict.fromkeys((*with_capability, *step.fallback)))


def _judged(
    name: str,
    arguments: Arguments,
    tools: Mapping[str, types.ToolDefinition],
    policy: types.ToolPolicy,
    tried: frozenset[str],
) -> types.ToolDefinition | Rejected:
    if name in tried:
        return Rejected(NONE_LEFT, f"{name} failed already")
    if denied := refusal(name, policy):
        return Rejected(NOT_ALLOWED, denied)
    if name not in tools:
        return Rejected(NOT_FOUND, _unknown(name, tools))
    if problems := arguments.problems(tools[name]):
        return Rejected(DO_NOT_FIT, f"invalid arguments for {name}: {'; '.join(problems)}")
    return tools[name]


def _nothing_left(
    step: types.Step, rejected: list[Rejected], tools: Mapping[str, types.ToolDefinition]
) -> InvalidInput | PermanentError:
    if not rejected:
        capabilities = sorted({name for tool in tools.values() for name in tool.capabilities})
        return PermanentError(
            f"no tool has the capability {step.capability}; known capabilities: {_listed(capabilities)}",
            code=NOT_FOUND,
        )
    codes = {one.code for one in rejected}
    # If a tool was tried already, the fallbacks are used up, regardless of why the other tools do not fit.
    code = NONE_LEFT if NONE_LEFT in codes else rejected[0].code
    kind = InvalidInput if code == DO_NOT_FIT else PermanentError
    return kind("; ".join(one.reason for one in rejected), code=code)


def _unknown(name: str, tools: Mapping[str, types.ToolDefinition]) -> str:
    similar = get_close_matches(name, tools, n=3)
    if similar:
        return f"tool {name} not found; did you mean {' or '.join(similar)}?"
    if not tools:
        return f"tool {name} not found: no executor has announced a tool yet; start one"
    return f"tool {name} not found; known tools: {_listed(sorted(tools))}"


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return (", ".join(names[:_MOST_NAMES]) or "none") + (f" and {more} more" if more > 0 else "")
