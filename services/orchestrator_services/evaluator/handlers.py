"""The evaluator service: loads outputs and result, and has the evaluator judge them."""

import asyncio
import json
from typing import Any

from orchestrator.sdk import (
    ContractError,
    Evaluation,
    EvaluationRequest,
    Evaluator,
    InvalidInput,
    PermanentError,
    Service,
    ServiceContext,
    TransientError,
    contained,
    failure_of,
)
from orchestrator.sdk.messages import Message, commands, events, require_room, steps_named, types

service = Service("evaluator", writes=(events.TaskEvaluated, events.EvaluationFailed, events.ModelProgressed))


@service.on(commands.EvaluateTask)
async def evaluate_task(message: commands.EvaluateTask, context: ServiceContext) -> Message:
    """Replies `TaskEvaluated`, with the result once every step that it uses is done; or `EvaluationFailed`."""
    started = context.now()
    try:
        evaluation, value = await contained(_evaluated(message, context))
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        return context.write(
            events.EvaluationFailed,
            call=message.call,
            failure=failure_of(error, "evaluator_error"),
            usage=context.usage(started),
        )
    return context.write(
        events.TaskEvaluated,
        call=message.call,
        evaluation=evaluation,
        result=value,
        usage=context.usage(started),
    )


async def _evaluated(
    message: commands.EvaluateTask, context: ServiceContext
) -> tuple[Evaluation, types.Value | None]:
    """The evaluation, and the result if there is one."""
    if context.now() > message.not_after:
        raise TransientError("the command expired before an evaluator received it", code="expired")
    outputs = await _outputs(message, context)
    result = await _result(message, outputs, context)
    evaluation = await _evaluation(message, outputs, result, context)
    return evaluation, await context.values.store(result) if _has_result(message) else None


def _has_result(message: commands.EvaluateTask) -> bool:
    """Whether there is a result, and every step that it uses is done."""
    return message.result is not None and not steps_named(message.result) & set(message.remaining_steps)


async def _outputs(message: commands.EvaluateTask, context: ServiceContext) -> dict[str, Any]:
    if message.result is not None and _has_result(message):
        try:
            require_room(message.result, message.outputs)
        except ContractError as error:
            raise _not_filled(error) from error
    return await context.outputs(message.outputs)


async def _result(message: commands.EvaluateTask, outputs: dict[str, Any], context: ServiceContext) -> Any:
    if message.result is None or not _has_result(message):
        return None
    try:
        return await context.fill(message.result, outputs)
    except ContractError as error:
        raise _not_filled(error) from error


def _not_filled(error: ContractError) -> InvalidInput:
    return InvalidInput(
        f"the result cannot be filled in from the steps' outputs: {error}", code="result_not_filled"
    )


async def _evaluation(
    message: commands.EvaluateTask, outputs: dict[str, Any], result: Any, context: ServiceContext
) -> Evaluation:
    evaluator = context.plugins.get(Evaluator, message.evaluator)
    request = EvaluationRequest(
        goal=message.goal,
        criteria=message.criteria,
        outputs=outputs,
        result=result,
        point=message.point,
        remaining_steps=message.remaining_steps,
        settings=_settings(message.settings),
        model=message.model,
        conversation=message.conversation,
        limits=message.limits,
    )
    async with asyncio.timeout(context.seconds_left(message.call)):
        evaluation: Any = await evaluator.evaluate(request, context)
    if not isinstance(evaluation, Evaluation):
        raise PermanentError(
            f"the evaluator {message.evaluator} returned {type(evaluation).__name__}, not an Evaluation",
            code="evaluator_error",
        )
    if not isinstance(evaluation.score, int | float) or not 0 <= evaluation.score <= 1:
        raise PermanentError(
            f"the evaluator {message.evaluator} gave the score {evaluation.score!r}, which is not from 0.0 to 1.0",
            code="evaluator_error",
        )
    return evaluation


def _settings(text: str) -> dict[str, Any]:
    try:
        settings: Any = json.loads(text)
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise InvalidInput(
            "evaluate.settings of the agent must be a JSON object", code="settings_not_an_object"
        )
    return settings
