"""The strategies that do the tasks: an agent each, as its YAML, and the scripts of its model.

The tasks and what they come to are the same for all of them; how the model goes about it is up to the scripts.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Strategy:
    """`agent` is the YAML of the agent of the same name; `scripts` is a module with a table SCRIPTS."""

    name: str
    agent: str
    scripts: str

    def __str__(self) -> str:
        return self.name


REACT: Final = Strategy(
    "react",
    """\
agent: react
planner: react
model: openai-chat:react
instructions: You keep a shop.
output:
  type: object
  properties: {answer: {type: string}}
  required: [answer]
  additionalProperties: false
tools: {allow: ["stock.*", "shop.*"]}
retry: {attempts: 2, initial: 100ms, max: 500ms}
limits: {deadline: 10m}
""",
    "tests.integration.thinking.react_scripts",
)

STRATEGIES: Final = (REACT,)
