"""The strategies that do the tasks: an agent each, as its YAML, and the scripts of its model.

The tasks and what they come to are the same for all of them; how the model goes about it is up to the scripts.
"""

from dataclasses import dataclass
from typing import Final

_HERE: Final = "tests.integration.thinking"
_BOUNDS: Final = """\
retry: {attempts: 2, initial: 100ms, max: 500ms}
limits: {deadline: 10m}
"""
_IN_YAML: Final = """\
model: openai-chat:%s
instructions: You keep a shop.
output:
  type: object
  properties: {answer: {type: string}}
  required: [answer]
  additionalProperties: false
tools: {allow: ["stock.*", "shop.*"]}
"""


@dataclass(frozen=True)
class Strategy:
    """`name` is that of the planner, of the agent and of its model; `scripts` is a module with a table SCRIPTS."""

    name: str
    scripts: str
    code: str = ""
    """The module of an agent that is code: model, instructions, output and tools are its own."""

    def __str__(self) -> str:
        return self.name

    @property
    def agent(self) -> str:
        """The YAML of the agent."""
        head = f"agent: {self.name}\nplanner: {self.name}\n"
        return head + _BOUNDS + ("" if self.code else _IN_YAML % self.name)

    def tool(self, name: str) -> str:
        """What a tool of the tasks is called: one of an agent's code has the agent's name before its own."""
        return f"{self.name}.{name.replace('.', '_')}" if self.code else name


STRATEGIES: Final = (
    Strategy("react", f"{_HERE}.react_scripts"),
    Strategy("plan-execute", f"{_HERE}.plan_execute_scripts"),
    Strategy("reflexion", f"{_HERE}.reflexion_scripts"),
    Strategy("plain-agent", f"{_HERE}.react_scripts", code=f"{_HERE}.plain_agent"),
)
