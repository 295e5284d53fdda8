"""Running one tool of an agent, in the process of an executor."""

import inspect
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from threading import Thread
from typing import Any, Final

from pydantic import ValidationError
from pydantic_ai import Agent, ModelRetry, RunContext
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ToolFailed
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolReturn
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.toolsets import AbstractToolset, FunctionToolset, ToolsetTool
from pydantic_ai.usage import RunUsage
from pydantic_core import to_json, to_jsonable_python

from orchestrator.sdk import Context, InvalidInput, PermanentError, UnknownOutcome
from orchestrator.sdk.messages import commands, first_of
from orchestrator_services.agents.options import Options
from orchestrator_services.agents.server_errors import AnswerKind, answer_of
from orchestrator_services.agents.servers import Origin, origin_of
from orchestrator_services.agents.toolsets import not_supported


async def run_function(
    toolset: FunctionToolset[Any],
    name: str,
    arguments: Mapping[str, Any],
    options: Options,
    context: Context,
) -> Any:
    """What a function tool returns. Raises the errors of `_explained`."""
    run_context = await _run_context(name, options, context)
    definition = toolset.tools[name].tool_def
    tool = toolset.tool_for_tool_def(definition, ctx=run_context, original_name=name)
    with _explained(name, options, context):
        return await _called(toolset, tool, arguments, run_context)


async def run_in_toolset(
    toolset: AbstractToolset[Any],
    tool: str | Origin,
    arguments: Mapping[str, Any],
    options: Options,
    context: Context,
) -> Any:
    """What a tool of a toolset returns. The toolset is entered for this call alone, but for its servers.

    `tool` is its name in the toolset, or that in its server. Raises `InvalidInput` for a tool that it does not have
    (any more), and the errors of `_explained`.
    """
    name = tool.tool if isinstance(tool, Origin) else tool
    run_context = await _run_context(name, options, context)
    async with await toolset.for_run(run_context) as entered:
        step = await entered.for_run_step(run_context)
        tools = await step.get_tools(run_context)
        found = tools.get(tool) if isinstance(tool, str) else _of_server(tools, tool)
        if found is None:
            raise InvalidInput(
                f"{name} not found; tools: {', '.join(sorted(tools)) or 'none'}", code="tool_not_found"
            )
        with _explained(found.tool_def.name, options, context):
            return await _called(step, found, arguments, run_context)


def _of_server(tools: Mapping[str, ToolsetTool[Any]], origin: Origin) -> ToolsetTool[Any] | None:
    return next((tool for tool in tools.values() if origin_of(tool.tool_def) == origin), None)


def bare_context(options: Options) -> RunContext[Any]:
    """What a server is asked with when nobody uses the agent."""
    return RunContext(deps=None, model=_NO_MODEL, usage=RunUsage(), agent=options.agent)


def runs_once(context: Context) -> bool:
    """Whether the tool that is being run must not run again if it may have run."""
    return isinstance(context.message, commands.ExecuteTool) and context.message.at_most_once


async def _called(
    toolset: AbstractToolset[Any],
    tool: ToolsetTool[Any],
    arguments: Mapping[str, Any],
    context: RunContext[Any],
) -> Any:
    fitting = await _validated(tool, arguments, context)
    with Agent.using_thread_executor(_OWN_THREADS):
        returned = await toolset.call_tool(tool.tool_def.name, fitting, context, tool)
    return _as_data(_unwrapped(returned))


@contextmanager
def _explained(name: str, options: Options, context: Context) -> Iterator[None]:
    """Errors of a tool as the platform has them.

    Raises `InvalidInput` for arguments that do not fit and where the tool asks the model to try again,
    `PermanentError` where it says that it failed, and any other error as it is.
    """
    try:
        yield
    except ValidationError as error:
        raise InvalidInput(
            f"invalid arguments for {name}: {in_words(error)}", code="arguments_do_not_fit"
        ) from error
    except ModelRetry as error:
        raise _retry(error, context) from error
    except ToolFailed as error:
        raise PermanentError(str(error), code="tool_failed") from error
    except (ApprovalRequired, CallDeferred) as error:
        raise not_supported(options.name, name) from error


def _retry(error: ModelRetry, context: Context) -> Exception:
    """What the model is told. The library asks it to try again, too, after the tool's own timeout, and where something
    answered in place of a server of the tool's own."""
    answer = answer_of(error)
    if answer is not None and answer.kind is not AnswerKind.REFUSED:
        return ConnectionError(f"the server failed to answer: {answer}")
    if runs_once(context) and isinstance(error.__context__, TimeoutError):
        return UnknownOutcome(error.message, code="timeout")
    return InvalidInput(error.message, code="model_retry")


def _as_data(returned: Any) -> Any:
    """With images and the like as base64; what is not JSON stays as it is, so that the executor explains it."""
    try:
        return to_jsonable_python(returned, bytes_mode="base64")
    except (ValueError, TypeError, RecursionError):
        return returned


async def _validated(tool: ToolsetTool[Any], arguments: Mapping[str, Any], context: RunContext[Any]) -> Any:
    # As JSON, which is what models write: Python data would be read more strictly.
    fitting = tool.args_validator.validate_json(to_json(arguments), context=context.validation_context)
    if tool.args_validator_func is not None:
        checked = tool.args_validator_func(context, **fitting)
        if inspect.isawaitable(checked):
            await checked
    return fitting


def in_words(error: ValidationError) -> str:
    """What does not fit, without the values that do not."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        first_of(f"{'.'.join(map(str, one['loc'])) or 'all of it'}: {one['msg']}" for one in problems)
    )


def _unwrapped(returned: Any) -> Any:
    if not isinstance(returned, ToolReturn):
        return returned
    if returned.content is None:
        return returned.return_value
    return {"return_value": returned.return_value, "content": returned.content}


async def _run_context(tool: str, options: Options, context: Context) -> RunContext[Any]:
    agent = options.agent
    run_context: RunContext[Any] = RunContext(
        deps=await options.make_deps(context),
        model=agent.model if isinstance(agent.model, Model) else _NO_MODEL,
        usage=RunUsage(),
        agent=agent,
        tool_name=tool,
        tool_call_id=context.idempotency_key,
        run_id=context.correlation_id,
        conversation_id=context.correlation_id,
        metadata={"session": context.correlation_id, "idempotency_key": context.idempotency_key},
    )
    given = agent.validation_context
    run_context.validation_context = given(run_context) if callable(given) else given
    return run_context


def _refused(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    raise PermanentError(
        "a tool cannot ask its agent's model by ctx.model: give the agent a model object, or the tool a model of its "
        "own",
        code="no_model",
    )


_NO_MODEL: Final = FunctionModel(_refused, model_name="none")
"""Stands for a model that has only a name: a process that runs tools need not be able to ask it."""


class _OwnThreads(Executor):
    """A thread for each call, as other blocking tools have: one that never returns must not take a place in a pool
    forever, nor keep the process from ending."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - SystemExit of a tool must not end the worker
                future.set_exception(error)

        Thread(target=work, name="agent-tool", daemon=True).start()
        return future


_OWN_THREADS: Final = _OwnThreads()
