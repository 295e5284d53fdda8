"""Tools: functions that steps run."""

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, ParamSpec, TypeVar, cast

import pydantic

from orchestrator.errors import ConfigurationError
from orchestrator.messages.texts import first_of
from orchestrator.messages.types import ToolDefinition
from orchestrator.sdk.callables import is_async, name_of
from orchestrator.sdk.context import Context
from orchestrator.sdk.declarations import Refused, refuse
from orchestrator.sdk.durations import milliseconds
from orchestrator.sdk.errors import InvalidInput
from orchestrator.sdk.failures import readable
from orchestrator.sdk.isolation import Isolation, Target
from orchestrator.sdk.signatures import Signature
from orchestrator.sdk.tool_names import problem_of_tool_name

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Tool:
    """A function with its definition; still callable as the function it is.

    Blocking functions run in a thread, coroutine functions on the event loop. A function with `**parameters`
    takes arguments of any name, besides those that it declares. With `isolation` it runs in a process of its own.
    """

    role: ClassVar[str] = "tool"

    def __init__(
        self,
        function: Callable[..., Any],
        definition: ToolDefinition,
        isolation: Isolation | None = None,
        signature: Signature | None = None,
    ) -> None:
        """`signature` is the function's, read when it is needed if it is not given."""
        self.function = function
        self.definition = definition
        self.isolation = isolation
        self._given_signature = signature
        self.__doc__ = function.__doc__

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def is_async(self) -> bool:
        return is_async(self.function)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
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
        signature = self._signature
        if taken := [name for name in signature.contexts if name in given]:
            raise InvalidInput(
                f"invalid arguments for {self.name}: {', '.join(taken)}: the platform gives it",
                code="arguments_do_not_fit",
            )
        try:
            valid = signature.model.model_validate(dict(given))
        except pydantic.ValidationError as error:
            raise InvalidInput(_explained(self.name, error), code="arguments_do_not_fit") from error
        arguments = {name: getattr(valid, field) for field, name in signature.parameters.items()}
        arguments |= valid.model_extra or {}
        arguments |= dict.fromkeys(signature.contexts, context)
        return arguments

    @cached_property
    def _signature(self) -> Signature:
        return self._given_signature or Signature.of(self.function)


class ToolFunction(Tool, Generic[P, R]):
    """What `@tool` makes of a function: calls keep the function's types."""

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
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
    """Declares a function as a tool. Raises `ConfigurationError` for one that could never be called: its arguments
    are given by name, as JSON.

    `name` is the function's by default, `description` the first line of its docstring. `timeout` is a duration
    such as `30s`. With `at_most_once` a call is never repeated if it may have run. `pool` names the executors
    that run it. With `isolation` each run has a process of its own, within the limits of an `Isolation`, by default
    those of `Isolation()`; the function must be at the top of a module then.

    Raises `ConfigurationError` if it is not.
    """

    def declare(function: Callable[P, R]) -> ToolFunction[P, R]:
        first_line = (inspect.getdoc(function) or "").partition("\n")[0]
        try:
            return _declared(
                function,
                name or name_of(function),
                isolation,
                version=version,
                description=description or first_line,
                capability=capability,
                timeout=timeout,
                at_most_once=at_most_once,
                pool=pool,
            )
        except ConfigurationError as error:
            refuse(error)
        return cast("ToolFunction[P, R]", Refused())

    return declare


def _declared(
    function: Callable[P, R], name: str, isolation: str | Isolation | None, **fields: Any
) -> ToolFunction[P, R]:
    """Raises `ConfigurationError` with everything for which the tool could never be called or announced."""
    timeout = fields.pop("timeout")
    problems = [
        f"its {what} has half of a character (a lone surrogate): remove it"
        for what, text in {"name": name, **fields}.items()
        if isinstance(text, str) and not _is_text(text)
    ]
    if not problems and (problem := problem_of_tool_name(name)):
        problems.append(f"its name: {problem}")
    timeout_ms = _tried(lambda: _timeout_ms(timeout), problems)
    signature = _tried(lambda: Signature.of(function), problems)
    isolated = _tried(lambda: _isolation(isolation, function), problems)
    if problems or signature is None or timeout_ms is None:
        raise ConfigurationError(*(f"tool {readable(name)}: {problem}" for problem in problems))
    capability = fields.pop("capability")
    definition = ToolDefinition(
        name=name,
        capabilities=(capability,) if capability else (),
        arguments_schema=signature.arguments_schema,
        output_schema=signature.output_schema,
        timeout_ms=timeout_ms,
        **fields,
    )
    return ToolFunction(function, definition, isolated, signature)


def _tried(make: Callable[[], T], problems: list[str]) -> T | None:
    """What it makes; None if it cannot, with its problems added to the others."""
    try:
        return make()
    except ConfigurationError as error:
        problems += error.problems
        return None


def _timeout_ms(timeout: Any) -> int:
    if not isinstance(timeout, str | int):
        raise ConfigurationError(f"its timeout {timeout!r} is not a duration: write one such as 30s")
    try:
        return milliseconds(timeout)
    except ValueError as error:
        raise ConfigurationError(f"its timeout: {error}") from error


def _isolation(declared: str | Isolation | None, function: Callable[..., Any]) -> Isolation | None:
    if declared is None:
        return None
    if declared != "process" and not isinstance(declared, Isolation):
        raise ConfigurationError(f'isolation={declared!r} is not known: write "process" or Isolation(...)')
    Target.of(function)
    return declared if isinstance(declared, Isolation) else Isolation()


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _explained(name: str, error: pydantic.ValidationError) -> str:
    problems = (
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}" for problem in error.errors()
    )
    return f"invalid arguments for {name}: " + "; ".join(first_of(problems))
