"""What keeps an agent from being durable, found before it runs."""

import re
from collections import Counter
from collections.abc import Iterator
from types import NoneType
from typing import Final

from orchestrator_services.agents.options import Options
from orchestrator_services.agents.toolsets import Toolset, Toolsets

# As names in agents' documents.
_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
_RULE: Final = "use letters, digits, dots, dashes and underscores, a letter or digit first"


def problems_of(options: Options) -> Iterator[str]:
    """Every reason why the agent cannot be durable, with what to do."""
    if not options.name:
        yield 'a durable agent needs a name: Agent(…, name="desk")'
        return
    if not _NAME.match(options.name):
        yield f"{options.name!r} cannot be the name of a durable agent: {_RULE}"
    deps_type = options.agent.deps_type
    if options.deps is None and deps_type not in (object, NoneType, None):
        yield (
            f"{options.name} has dependencies of the type {getattr(deps_type, '__name__', deps_type)}: say how a "
            "process makes them, durable(agent, deps=make)"
        )
    yield from (f"{options.name}: {problem}" for problem in _of_tools(options))


def _of_tools(options: Options) -> Iterator[str]:
    toolsets = Toolsets.of(options.agent)
    functions = [tool for one in toolsets.functions for tool in one.tools.values()]
    for tool in functions:
        if tool.requires_approval:
            yield (
                f"the tool {tool.name} requires approval, which a durable agent cannot ask for: remove "
                "requires_approval, and name a reviewer in the agent's profile"
            )
    for toolset in toolsets.others:
        for part in (*toolset.others, *(server.wrapped for server in toolset.servers)):
            if not part.id:
                yield f"the toolset {part.label} has no id: give it one, {type(part).__name__}(…, id=…)"
    ids = [found for one in toolsets.others for found in _ids(one)]
    names = Counter([*(tool.name for tool in functions), *ids])
    for name, uses in names.items():
        if uses > 1:
            yield f"{uses} tools and toolsets would be {options.tool_name(name)}: rename all but one"
        if not _NAME.match(name):
            yield f"{name!r} cannot be the name of a tool: {_RULE}"
    servers = [f"{server.id}." for toolset in toolsets.others for server in toolset.servers]
    for name in sorted(set(options.at_most_once) - names.keys()):
        if not name.startswith(tuple(servers)):
            yield f"at_most_once names {name}, which is no tool or toolset of the agent"


def _ids(toolset: Toolset) -> Iterator[str]:
    """What the platform's tools for a toolset are named after."""
    yield from (server.id for server in toolset.servers if server.id)
    if toolset.id:
        yield toolset.id
