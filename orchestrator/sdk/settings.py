"""Settings of plug-ins: declared by the plug-in, read from the environment, checked together."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Final, Self, get_args, get_origin

import pydantic

from orchestrator.errors import ConfigurationError
from orchestrator.sdk.declarations import refuse

VARIABLES: Final = "ORCHESTRATOR_"
"""What the names of all variables begin with."""
_PREFIX: Final = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_PASSED_THROUGH: Final = ("KAFKA_", "SCHEMA_REGISTRY_")
_CLOSE: Final = 0.75


class PluginSettings(pydantic.BaseModel):
    """Settings of a plug-in, found like any other plug-in. Each field is a variable of the environment.

    With `prefix="STOCK"` the field `limit` is `ORCHESTRATOR_STOCK_LIMIT`. A list is written with commas. The
    text below a field says what it sets. Values of `SecretStr` fields are never shown.
    """

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )
    variable_prefix: ClassVar[str] = VARIABLES

    def __init_subclass__(cls, *, prefix: str, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not _PREFIX.fullmatch(prefix) or f"{prefix}_".startswith(_PASSED_THROUGH):
            refuse(
                ConfigurationError(
                    f"{cls.__name__}: {prefix!r} cannot be a prefix: write upper-case words such as STOCK or "
                    "STOCK_MARKET; KAFKA and SCHEMA_REGISTRY are reserved"
                )
            )
            return
        cls.variable_prefix = f"{VARIABLES}{prefix}_"

    @classmethod
    def variables(cls) -> dict[str, str]:
        """The variable of each field."""
        return {name: cls.variable_prefix + name.upper() for name in cls.model_fields}

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings as the environment has them now.

        Raises `ConfigurationError` that names every variable whose value is wrong.
        """
        environment = os.environ if environment is None else environment
        given: dict[str, Any] = {}
        for name, variable in cls.variables().items():
            if (text := environment.get(variable)) is not None:
                given[name] = _entries(text) if _is_list(cls.model_fields[name].annotation) else text
        try:
            return cls.model_validate(given)
        except pydantic.ValidationError as error:
            problems = [cls._explained(problem, environment) for problem in error.errors(include_url=False)]
            # Without the cause: it holds the values.
            raise ConfigurationError(*problems) from None

    def problems(self) -> Iterable[str]:
        """What is wrong beyond single values, such as a file that cannot be read. Override it if need be.

        Only `orchestrator config check` asks: not every process needs what the settings name.
        """
        return ()

    @classmethod
    def _explained(cls, problem: Any, environment: Mapping[str, str]) -> str:
        """A problem of validation: the variable, what is wrong with it, and what it sets."""
        message = str(problem["msg"]).removeprefix("Value error, ")
        name = str(problem["loc"][0]) if problem["loc"] else ""
        field = cls.model_fields.get(name)
        if field is None:
            return f"{cls.variable_prefix}*: {cls._without_secrets(message, environment)}"
        if problem["type"] == "missing":
            message = "it is required, set it"
        elif _is_secret(field.annotation):
            # A validator's text may hold the value, or a part of it.
            message = "its value is not valid"
        purpose = f" ({' '.join(field.description.split())})" if field.description else ""
        return f"{cls.variables()[name]}: {message}{purpose}"

    @classmethod
    def _without_secrets(cls, message: str, environment: Mapping[str, str]) -> str:
        """The text of a check between fields, without the values of secret ones."""
        for name, variable in cls.variables().items():
            secret = environment.get(variable, "").strip()
            if secret and _is_secret(cls.model_fields[name].annotation):
                message = message.replace(secret, "***")
        return message


@dataclass(frozen=True)
class SettingsPlugin:
    """Declared settings, as a plug-in."""

    role: ClassVar[str] = "settings"

    declared: type[PluginSettings]

    @property
    def name(self) -> str:
        """Prefix of their variables."""
        return self.declared.variable_prefix

    def problems(self) -> Iterable[str]:
        """What `PluginSettings.problems` finds; nothing while single values are wrong."""
        try:
            settings = self.declared.read()
        except ConfigurationError:
            return ()
        try:
            return tuple(settings.problems())
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
            return (f"{self.name}*: the check of these settings failed: {type(error).__name__}",)

    def shown(self) -> dict[str, Any]:
        """The settings by lower-case variable without `ORCHESTRATOR_`, as JSON data; secrets are hidden.

        Raises `ConfigurationError` as `PluginSettings.read` does.
        """
        values = self.declared.read().model_dump(mode="json")
        return {
            variable.removeprefix(VARIABLES).lower(): values[name]
            for name, variable in self.declared.variables().items()
        }


def settings_problems(
    declared: Collection[type[PluginSettings]],
    environment: Mapping[str, str],
    platform_variables: Collection[str] = (),
) -> Iterator[str]:
    """Every mistake in these settings: wrong values, variables that also belong to the platform, and variables
    under a prefix that are probably misspelled."""
    known = {variable for one in declared for variable in one.variables().values()}
    for taken in sorted(known.intersection(platform_variables)):
        yield f"{taken} is a variable of the platform: the plug-in that declares it needs another prefix"
    for one in declared:
        try:
            one.read(environment)
        except ConfigurationError as error:
            yield from error.problems
    for variable in sorted(environment.keys() - known - set(platform_variables)):
        if variable.upper() in known:
            yield f"{variable} is not read: write it as {variable.upper()}"
        elif meant := _meant(variable, declared):
            yield f"{variable} is not a setting; did you mean {meant}?"


def _meant(variable: str, declared: Iterable[type[PluginSettings]]) -> str:
    """The setting under the same prefix that was probably meant; empty if none is close. Only what follows the
    prefix is compared: a long prefix would make everything under it look alike."""
    for one in declared:
        if variable.startswith(one.variable_prefix):
            rest = variable.removeprefix(one.variable_prefix)
            names = [name.upper() for name in one.model_fields]
            if close := get_close_matches(rest, names, n=1, cutoff=_CLOSE):
                return one.variable_prefix + close[0]
    return ""


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in (tuple, list, set, frozenset)


def _is_secret(annotation: Any) -> bool:
    secrets = (pydantic.SecretStr, pydantic.SecretBytes)
    return annotation in secrets or any(_is_secret(part) for part in get_args(annotation))
