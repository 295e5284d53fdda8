"""A sample of any message: every field is filled, nested ones too."""

import enum
from base64 import b64encode
from random import Random
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


def sample_of(kind: type[T], **given: Any) -> T:
    """A message whose texts are their fields' names and whose numbers are 1, but for what is `given`."""
    hints = get_type_hints(kind)
    fields = {field.name: _sample(hints[field.name], field.name) for field in msgspec.structs.fields(kind)}
    return kind(**fields | given)


def _sample(hint: Any, name: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _sample(next(branch for branch in arguments if branch is not type(None)), name)
    if origin is tuple:
        return (_sample(arguments[0], name),)
    if origin is dict:
        return {name: _sample(arguments[1], name)}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return list(hint)[-1]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return sample_of(hint)
    return {str: name, int: 1, float: 0.5, bool: True, bytes: b"{}"}[hint]


def incompressible(length: int) -> str:
    """A text that producers cannot pack, the same each time."""
    return b64encode(Random(length).randbytes(length)).decode()[:length]  # noqa: S311 - no secret
