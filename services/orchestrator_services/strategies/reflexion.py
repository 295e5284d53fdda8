"""Turn by turn, with a critic: an answer that it does not accept is thought over before it is given."""

from typing import Final

from orchestrator.sdk import Context, PermanentError, Plan, PlanRequest, planner
from orchestrator_services.models import TurnReply
from orchestrator_services.strategies.critic import criticised
from orchestrator_services.strategies.dialogue import Dialogue
from orchestrator_services.strategies.notes import note, notes
from orchestrator_services.strategies.prompts import not_accepted
from orchestrator_services.strategies.react import acted, plan_of, went_on

MOST_CRITIQUES: Final = 3
"""In a session. Models seldom gain from more, and some critics are never content: the last answer stands."""
_CRITIQUE: Final = "critique"


@planner("reflexion")
async def reflexion(request: PlanRequest, context: Context) -> Plan:
    """One turn as of `react`. An answer first goes to a critic, and with its criticism back to the model, which may
    call more tools or answer again.
    """
    dialogue = await Dialogue.resumed(request, context)
    reply = await acted(dialogue)
    left = MOST_CRITIQUES - sum(1 for _ in notes(request.conversation, _CRITIQUE))
    while left > 0 and not reply.calls:
        better = await _thought_over(reply, dialogue)
        if better is None or (better.calls and request.limits.turns == 0):
            # In the last turn no more tools run: an answer is better than calls.
            break
        reply, left = better, left - 1
    return plan_of(reply, dialogue)


async def _thought_over(reply: TurnReply, dialogue: Dialogue) -> TurnReply | None:
    """What the model does about the criticism of its answer; None where the answer stands.

    An answer also stands where it cannot be criticised or improved: because the session's limits leave nothing for
    it, or because the critic has no verdict.
    """
    try:
        verdict = await criticised(reply.output, dialogue)
    except PermanentError as error:
        dialogue.messages.append(note(_CRITIQUE, acceptable=True, criticism=f"no critique: {error.code}"))
        return None
    dialogue.messages.append(note(_CRITIQUE, acceptable=verdict.acceptable, criticism=verdict.criticism))
    if verdict.acceptable:
        return None
    try:
        return await went_on(dialogue, [not_accepted("answer", verdict.criticism)])
    except PermanentError as error:
        if error.code != "limit_reached":
            raise
        return None
