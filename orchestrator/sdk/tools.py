"""Tools: functions that steps run."""

import inspect
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, ParamSpec, TypeVar, get_type_hints

import pydantic

from orchestrator.errors import ConfigurationError
from orchestrator.messages.types import ToolDefinition
from orchestrator.sdk.context import Context
from orchestrator.sdk.durations import milliseconds
from orchestrator.sdk.errors import InvalidInput
from orchestrator.sdk.isolation import Isolation, Target

P = ParamSpec("P")
R = TypeVar("R")


class Tool:
    """A function with its definition; still callable as the function it is.

    Blocking functions run in a thread, coroutine functions on the event loop. A function with `**parameters`
    takes arguments of any name, besides those that it declares. With `isolation` it runs in a process of its own.
    """

    role: ClassVar[str] = "tool"

    def __init__(
        self, function: Callable[..., Any], definition: ToolDefinition, isolation: Isolation | None = None
    ) -> None:
        self.function = function
        self.definition = definition
        self.isolation = isolation
        self.__doc__ = function.__doc__

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def arguments(self, given: Any, context: Context) -> dict[str, Any]:
        """Keyword arguments of one call, validated against the signature, with the context if the function takes
        it.

        Raises `InvalidInput` that lists every argument that does not fit.
        """
        if not isinstance(given, Mapping):
            raise InvalidInput(
                f"{self.name} takes arguments by name (a JSON object), not {type(given).__name__}"
            )
        try:
            valid = self._model.model_validate(dict(given))
        except pydantic.ValidationError as error:
            raise InvalidInput(_explained(self.name, error), code="arguments_do_not_fit") from error
        arguments = {name: getattr(valid, name) for name in type(valid).model_fields}
        arguments |= valid.model_extra or {}
        if self._context_parameter:
            arguments[self._context_parameter] = context
        return arguments

    @cached_property
    def _context_parameter(self) -> str | None:
        return _context_parameter(self.function)

    @cached_property
    def _model(self) -> type[pydantic.BaseModel]:
        return _arguments_model(self.function)


class ToolFunction(Tool, Generic[P, R]):
    """What `@tool` makes of a function: calls keep the function's types."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self.function(*args, **kwargs)
        return result


def tool(
    name: str = "",
    *,
    capability: str = "",
    version: str = "1",
    timeout: str = "30s",
    description: str = "",
    at_most_once: bool = False,
    pool: str = "",
    isolation: Literal["process"] | Isolation | None = None,
) -> Callable[[Callable[P, R]], ToolFunction[P, R]]:
    """Declares a function as a tool.

    `name` is the function's by default, `description` the first line of its docstring. `timeout` is a duration
    such as `30s`. With `at_most_once` a call is never repeated if it may have run. `pool` names the executors
    that run it. With `isolation` each run has a process of its own, within the limits of an `Isolation`, by default
    those of `Isolation()`; the function must be at the top of a module then.

    Raises `ConfigurationError` if it is not.
    """

    def declare(function: Callable[P, R]) -> ToolFunction[P, R]:
        first_line = (inspect.getdoc(function) or "").partition("\n")[0]
        definition = ToolDefinition(
            name=name or function.__name__,
            version=version,
            description=description or first_line,
            capabilities=(capability,) if capability else (),
            arguments_schema=json.dumps(_arguments_model(function).model_json_schema(), sort_keys=True),
            output_schema=json.dumps(_output_schema(function), sort_keys=True),
            timeout_ms=milliseconds(timeout),
            at_most_once=at_most_once,
            pool=pool,
        )
        return ToolFunction(function, definition, _isolation(isolation, function))

    return declare


def _isolation(declared: str | Isolation | None, function: Callable[..., Any]) -> Isolation | None:
    if declared is None:
        return None
    if declared != "process" and not isinstance(declared, Isolation):
        raise ConfigurationError(f'isolation={declared!r} is not known: write "process" or Isolation(...)')
    Target.of(function)
    return declared if isinstance(declared, Isolation) else Isolation()


def _context_parameter(function: Callable[..., Any]) -> str | None:
    hints = get_type_hints(function)
    return next((name for name in inspect.signature(function).parameters if hints.get(name) is Context), None)


def _arguments_model(function: Callable[..., Any]) -> type[pydantic.BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    injected = _context_parameter(function)
    parameters = inspect.signature(function).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    fields: dict[str, Any] = {
        name: (
            hints.get(name, Any),
            ... if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for name, parameter in parameters.items()
        if name != injected and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    config = pydantic.ConfigDict(extra="allow" if takes_any else "forbid", arbitrary_types_allowed=True)
    return pydantic.create_model(f"{function.__name__}_arguments", __config__=config, **fields)


def _output_schema(function: Callable[..., Any]) -> dict[str, Any]:
    hint = get_type_hints(function, include_extras=True).get("return", Any)
    try:
        return pydantic.TypeAdapter(hint).json_schema()
    except (pydantic.PydanticSchemaGenerationError, pydantic.errors.PydanticInvalidForJsonSchema):
        return {}


def _explained(name: str, error: pydantic.ValidationError) -> str:
    problems = (
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}" for problem in error.errors()
    )
    return f"invalid arguments for {name}: " + "; ".join(problems)
