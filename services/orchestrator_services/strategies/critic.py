"""A critic of answers: judges one against the goal, the agent's instructions and the evidence."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.sdk import Values
from orchestrator_services.models import model_client
from orchestrator_services.prompting.data import RULE, data
from orchestrator_services.prompting.outputs import shown_again
from orchestrator_services.strategies.dialogue import Dialogue
from orchestrator_services.strategies.prompts import task_prompt

_CRITIC: Final = (
    "You judge the answer that an agent gave to a task. It is acceptable if it reaches the goal, keeps to the "
    "agent's instructions, and says nothing that the evidence does not support. Where it is not, say what is wrong "
    "and what the agent should do about it: it can call its tools again. Do not ask for what its tools cannot do."
)
_VERDICT: Final = {
    "type": "object",
    "properties": {
        "criticism": {"type": "string", "description": "What to do better; empty for an acceptable answer."},
        "acceptable": {"type": "boolean"},
    },
    "required": ["criticism", "acceptable"],
    "additionalProperties": False,
}
_MOST_EVIDENCE: Final = 60_000
"""Characters of what tools returned that the critic is shown, newest first: about what four whole outputs take."""


@dataclass(frozen=True)
class Verdict:
    acceptable: bool
    criticism: str


async def criticised(answer: Any, dialogue: Dialogue) -> Verdict:
    """What the critic says of an answer. It is the agent's model, which hears nothing of the conversation but data."""
    context = dialogue.context
    said = (*dialogue.request.conversation.messages, *dialogue.messages)
    own = await context.values.load(dialogue.model.instructions)
    parts = [
        task_prompt(dialogue.request, dialogue.model),
        data(own, name="instructions") if own else "",
        *await _evidence(said, context.values),
        data(answer, name="answer"),
    ]
    verdict = await model_client().ask(
        dialogue.model,
        "\n\n".join(part for part in parts if part),
        context,
        instructions=f"{_CRITIC}\n\n{RULE}",
        output_schema=_VERDICT,
        budget=dialogue.allowance.budget(),
    )
    return Verdict(**verdict)


async def _evidence(messages: Iterable[Mapping[str, Any]], values: Values) -> list[str]:
    """What tools returned, oldest first, without the oldest where it is too much."""
    found: list[str] = []
    room = _MOST_EVIDENCE
    for content in reversed(list(_returned(messages))):
        text = (await shown_again(content, values)).text
        room -= len(text)
        if room < 0:
            found.append("(What tools returned before is left out.)")
            break
        found.append(text)
    return found[::-1]


def _returned(messages: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    """Outputs and failures of tools in a conversation, as it keeps them."""
    for message in messages:
        for part in message.get("parts", ()):
            content = part.get("content")
            # What the model's client says in place of a tool is no data.
            of_tool = isinstance(content, Mapping) or "<data" in str(content)
            of_client = part.get("outcome") == "retried"
            if part.get("part_kind") == "tool-return" and of_tool and not of_client:
                yield content
