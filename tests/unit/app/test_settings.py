"""What settings are for is said where they are declared: help, documentation and error messages are made of it."""

import ast
import inspect

import pytest

from orchestrator.app.settings import Settings
from orchestrator.bus.settings import BusSettings
from orchestrator.client.settings import ClientSettings
from orchestrator.sdk import SettingsPlugin, discover


@pytest.mark.parametrize("declared", [BusSettings, ClientSettings, Settings])
def test_every_setting_says_what_it_is_for(declared: type) -> None:
    (body,) = (node for node in ast.parse(inspect.getsource(declared)).body if isinstance(node, ast.ClassDef))
    silent = [
        field.target.id
        for field, below in zip(body.body, [*body.body[1:], None], strict=True)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and not _is_text(below)
    ]
    assert not silent, f"write what these are for, below each: {silent}"


@pytest.mark.parametrize(
    "plugin", discover().by_name(SettingsPlugin).values(), ids=lambda plugin: plugin.name
)
def test_every_setting_of_a_plug_in_says_what_it_is_for(plugin: SettingsPlugin) -> None:
    silent = [name for name, field in plugin.declared.model_fields.items() if not field.description]
    assert not silent, f"write what these are for, below each: {silent}"


def _is_text(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
