"""The list of roles is complete, and a registry keeps plug-ins apart by role and name."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import orchestrator.sdk
from orchestrator.errors import ConfigurationError
from orchestrator.sdk import PermanentError, Plugins, Service, Tool, tool
from orchestrator.sdk.roles import ROLES


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(orchestrator.sdk.__path__, "orchestrator.sdk."):
        yield importlib.import_module(found.name)


def declared_roles() -> set[type]:
    """Every class of the SDK that says which role it is."""
    return {
        member
        for module in modules()
        for member in vars(module).values()
        if isinstance(member, type) and "role" in vars(member)
    }


def test_every_role_of_the_sdk_is_in_the_list() -> None:
    missing = declared_roles() - set(ROLES)
    assert not missing, f"add these to ROLES in orchestrator/sdk/roles/__init__.py: {missing}"


def test_no_two_roles_share_a_name() -> None:
    names = [role.role for role in ROLES]
    assert len(names) == len(set(names)), f"plug-ins of these roles would be one dictionary: {names}"


def made(answer: str) -> Tool:
    @tool("weather")
    def weather() -> str:
        return answer

    return weather


def test_names_are_apart_by_role() -> None:
    weather, service = made("rain"), Service("weather")

    plugins = Plugins.of(weather, service, weather)

    assert plugins.by_name(Tool) == {"weather": weather}
    assert plugins.get(Service, "weather") is service
    assert list(plugins) == [weather, service]


def test_two_plug_ins_of_one_role_and_name_are_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="two plug-ins of the role tool have the name weather"):
        Plugins.of(made("rain"), made("sun"))


def test_a_plug_in_that_is_not_installed_is_named_with_those_that_are() -> None:
    with pytest.raises(PermanentError, match="tool sql not found; installed: weather") as raised:
        Plugins.of(made("rain")).get(Tool, "sql")

    assert raised.value.code == "unknown_tool"


def test_no_plug_ins_are_named_none() -> None:
    with pytest.raises(PermanentError, match="service x not found; installed: none"):
        Plugins().get(Service, "x")
