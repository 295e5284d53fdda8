"""Models: what planners and other roles think with, where the name PROVIDER:MODEL is not enough."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Model:
    """A model by a name of its own, which agents use in place of PROVIDER:MODEL.

    `build()` returns what the model client asks, for the platform's client a model object of pydantic-ai. It is
    called once in a process, when the model is asked for the first time. It may raise `ConfigurationError`.
    """

    role: ClassVar[str] = "model"

    name: str
    build: Callable[[], Any]
