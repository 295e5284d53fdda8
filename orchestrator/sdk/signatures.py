"""The signature of a tool's function: the arguments that it takes, as a model and as a JSON schema."""

import functools
import inspect
import json
import types
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, get_type_hints

import pydantic
from pydantic.json_schema import PydanticJsonSchemaWarning

from orchestrator.errors import ConfigurationError
from orchestrator.sdk.callables import name_of
from orchestrator.sdk.context import Context
from orchestrator.sdk.failures import described

_UNREADABLE: Final = (pydantic.errors.PydanticUserError, pydantic.errors.PydanticUndefinedAnnotation)
"""What the library raises for a type that it cannot read, or not write as a JSON schema."""


@dataclass(frozen=True)
class Signature:
    """What a tool takes and returns."""

    model: type[pydantic.BaseModel]
    """Validates arguments by name. Its fields have names of their own: Python allows more for a parameter, such as
    `_quiet` and `model_config`, than the library does for a field."""
    parameters: Mapping[str, str]
    """The parameter of each field."""
    contexts: tuple[str, ...]
    """The parameters that take the context."""
    arguments_schema: str
    output_schema: str
    """A JSON schema; `{}` where the type has none."""

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Signature":
        """The signature of a function. Raises `ConfigurationError` with every reason for which it cannot be called."""
        parameters, hints = _read(function)
        if problems := list(_uncallable(function, parameters.values(), hints)):
            raise ConfigurationError(*problems)
        contexts = tuple(name for name in parameters if _is_context(hints.get(name)))
        taken = [
            one
            for name, one in parameters.items()
            if name not in contexts and one.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
        names = {f"field_{number}": one.name for number, one in enumerate(taken)}
        try:
            model = _model(f"{name_of(function)}_arguments", taken, hints, takes_any)
            schema = _schema(model.model_json_schema)
        except _UNREADABLE as error:
            raise ConfigurationError(*_unreadable(taken, hints, error)) from error
        except ValueError as error:
            raise ConfigurationError(*_unwritable(taken, error)) from error
        return cls(model, names, contexts, schema, _output_schema(hints.get("return", Any)))


def _read(function: Callable[..., Any]) -> tuple[Mapping[str, inspect.Parameter], dict[str, Any]]:
    try:
        return inspect.signature(function).parameters, get_type_hints(
            _annotated(function), include_extras=True
        )
    except Exception as error:
        raise ConfigurationError(f"its signature cannot be read: {described(error)}") from error


def _annotated(function: Any) -> Any:
    """Where the annotations of a function are that is a partial or an object."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) or isinstance(function, type) else type(function).__call__


def _uncallable(function: Callable[..., Any], parameters: Any, hints: Mapping[str, Any]) -> Iterator[str]:
    """Why arguments by name can never reach the function."""
    if inspect.isasyncgenfunction(function):
        yield "it is an async generator, which cannot be returned as JSON: collect the items and return a list"
    for one in parameters:
        if one.kind is inspect.Parameter.VAR_POSITIONAL:
            hint = getattr(hints.get(one.name), "__name__", "Any")
            yield (
                f"*{one.name} cannot be given, as arguments are given by name: take a list, "
                f"`{one.name}: list[{hint}]`"
            )
        elif one.kind is inspect.Parameter.POSITIONAL_ONLY:
            yield f"{one.name} is positional only, and arguments are given by name: remove the `/`"
        elif one.kind is inspect.Parameter.VAR_KEYWORD and _is_context(hints.get(one.name)):
            yield f"**{one.name} cannot be contexts: take one, `context: Context`"


def _is_context(hint: Any) -> bool:
    """Whether a parameter takes the context, perhaps optionally."""
    if isinstance(hint, type) and not typing.get_origin(hint):
        return issubclass(hint, Context)
    if typing.get_origin(hint) in (typing.Union, types.UnionType, typing.Annotated):
        return any(_is_context(one) for one in typing.get_args(hint))
    return False


def _model(
    name: str, parameters: list[inspect.Parameter], hints: Mapping[str, Any], takes_any: bool
) -> type[pydantic.BaseModel]:
    fields: dict[str, Any] = {
        f"field_{number}": (
            _aliased(hints.get(one.name, Any), one.name),
            ... if one.default is inspect.Parameter.empty else one.default,
        )
        for number, one in enumerate(parameters)
    }
    config = pydantic.ConfigDict(extra="allow" if takes_any else "forbid", arbitrary_types_allowed=True)
    return pydantic.create_model(name, __config__=config, **fields)


def _aliased(hint: Any, name: str) -> Any:
    """The type of a field that is given by this name, if the type itself does not say another one."""
    alias = pydantic.Field(alias=name)
    if typing.get_origin(hint) is typing.Annotated:
        inner, *metadata = typing.get_args(hint)
        return typing.Annotated[(inner, alias, *metadata)]
    return typing.Annotated[hint, alias]


def _schema(make: Callable[[], dict[str, Any]]) -> str:
    """A JSON schema as text. Raises `ValueError` for what JSON cannot hold."""
    with warnings.catch_warnings():
        # A default that is not JSON is left out of the schema; the function has it all the same.
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)
        return json.dumps(make(), sort_keys=True, allow_nan=False)


def _output_schema(hint: Any) -> str:
    try:
        return _schema(pydantic.TypeAdapter(hint).json_schema)
    except (*_UNREADABLE, ValueError):
        return "{}"


def _unreadable(
    parameters: list[inspect.Parameter], hints: Mapping[str, Any], error: Exception
) -> Iterator[str]:
    """What is wrong with each parameter whose type cannot come from JSON; or the error, if each alone can."""
    found = False
    for one in parameters:
        try:
            _schema(_model("one", [one], hints, False).model_json_schema)
        except _UNREADABLE as reason:
            found = True
            yield f"{one.name}: {_explained(hints.get(one.name, Any), reason)}"
        except ValueError:
            continue
    if not found:
        yield f"its arguments cannot come from JSON: {_first_line(error)}"


def _explained(hint: Any, error: Exception) -> str:
    if getattr(error, "code", "") == "typed-dict-version":
        return (
            "before Python 3.12 a typing.TypedDict cannot be checked: import TypedDict from typing_extensions"
        )
    shown = hint.__name__ if isinstance(hint, type) else str(hint)
    return (
        f"{shown} cannot come from JSON ({_first_line(error)}): take a str, a number, a list, a dict, a dataclass or a "
        "pydantic model"
    )


def _unwritable(parameters: list[inspect.Parameter], error: ValueError) -> Iterator[str]:
    """What in the schema cannot be written as JSON."""
    odd = [one for one in parameters if isinstance(one.default, float) and not isfinite(one.default)]
    for one in odd:
        yield f"{one.name}: its default {one.default!r} is no number of JSON: use None"
    if not odd:
        yield f"the schema of its arguments is not JSON: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return described(error).partition("\n")[0]
