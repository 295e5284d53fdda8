"""The evaluator `judge`: a model says how good the result is, by a rubric."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.sdk import (
    Context,
    Conversations,
    Evaluation,
    EvaluationRequest,
    NextMove,
    evaluator,
)
from orchestrator.sdk.messages import types
from orchestrator_services.evaluator.settings import JudgeSettings, judge_settings
from orchestrator_services.models import Budget, model_client
from orchestrator_services.prompting.data import RULE, data
from orchestrator_services.prompting.outputs import rendered
from orchestrator_services.prompting.transcripts import transcript

conversations: Final = Conversations()
"""Those of this process: an agent whose result is judged again is read from where it was."""

_LONGEST_RESULT: Final = 60_000
"""Characters of a result that is shown whole: more than other data may have, as it is what is judged."""
_TASK: Final = (
    "You judge the work of an agent: how far it reaches the goal. Judge by the evidence that you are shown, not by "
    "what the agent claims, and say what is missing or wrong so that the agent can mend it."
)
_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "description": "Why; and what has to change, if it is not good enough."},
        "score": {"type": "number", "minimum": 0, "maximum": 1, "description": "1 is as good as can be."},
        "reachable": {
            "type": "boolean",
            "description": "False only if nothing that the agent could still do would reach the goal.",
        },
    },
    "required": ["reason", "score", "reachable"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class _Vote:
    """One judgement."""

    score: float
    reason: str
    reachable: bool


@evaluator("judge")
async def judge(request: EvaluationRequest, context: Context) -> Evaluation:
    """A model scores the result, from the outputs and the conversation that led to it.

    The score is the mean of all votes. If the majority finds it good enough the task is finished, or goes on where
    steps remain. If not, the next move is REVISE, with the reasons as feedback; or GIVE_UP where the majority says
    that the goal cannot be reached.
    """
    settings = judge_settings(request.settings)
    prompt = await _prompt(request, context)
    votes = await _votes(prompt, request, settings, context)
    passed = [vote for vote in votes if vote.score >= settings.pass_score]
    failed = [vote for vote in votes if vote.score < settings.pass_score]
    good = len(passed) > len(failed)
    hopeless = sum(not vote.reachable for vote in failed) > len(votes) / 2
    return Evaluation(
        goal_met=good and not request.remaining_steps,
        score=sum(vote.score for vote in votes) / len(votes),
        reason=_reason(passed if good else failed, votes),
        next=_next(good, hopeless, bool(request.remaining_steps)),
    )


async def _votes(
    prompt: str, request: EvaluationRequest, settings: JudgeSettings, context: Context
) -> list[_Vote]:
    """The votes, asked side by side: each may use its share of what the session has left."""
    budget = _share(request.limits, settings.votes)
    model = settings.policy(request.model)
    asked = [
        model_client().ask(
            model,
            prompt,
            context,
            instructions=_instructions(settings),
            output_schema=_ANSWER,
            budget=budget,
        )
        for _ in range(settings.votes)
    ]
    # All of them end before one's failure is raised: what they use is counted.
    answers = await asyncio.gather(*asked, return_exceptions=True)
    votes = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        votes.append(_Vote(answer["score"], answer["reason"], answer["reachable"]))
    return votes


def _share(limits: types.Limits, votes: int) -> Budget:
    return Budget(
        tokens=None if limits.tokens is None else limits.tokens // votes,
        cost_micro_usd=None if limits.cost_micro_usd is None else limits.cost_micro_usd // votes,
    )


def _instructions(settings: JudgeSettings) -> str:
    points = "\n".join(f"- {point}" for point in settings.points)
    bar = f"A score of {settings.pass_score} or more accepts the work."
    return "\n\n".join(part for part in (_TASK, points and f"A good result:\n{points}", bar, RULE) if part)


async def _prompt(request: EvaluationRequest, context: Context) -> str:
    """What is judged, and the evidence."""
    parts = [data(request.goal, name="goal")]
    if request.criteria:
        parts.append(data([one.expression for one in request.criteria], name="criteria"))
    parts += [rendered(output, step, "") for step, output in request.outputs.items()]
    conversation = await conversations.read(request.conversation, context.values)
    if conversation.messages:
        parts.append(await transcript(conversation.messages, context.values))
    if request.remaining_steps:
        remaining = ", ".join(request.remaining_steps)
        parts.append(f"Judge what is done so far. These steps have not run yet: {remaining}.")
    else:
        parts.append(f"The result:\n{rendered(request.result, '', '', _LONGEST_RESULT)}")
    return "\n\n".join(parts)


def _reason(agreeing: list[_Vote], votes: list[_Vote]) -> str:
    if len(votes) == 1:
        return agreeing[0].reason
    return f"{len(agreeing)} of {len(votes)} votes: " + "; ".join(vote.reason for vote in agreeing)


def _next(good: bool, hopeless: bool, remain: bool) -> NextMove:
    if good:
        return NextMove.CONTINUE if remain else NextMove.FINISH
    return NextMove.GIVE_UP if hopeless else NextMove.REVISE
