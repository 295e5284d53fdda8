"""Settings of plug-ins: declared once, read from the environment, every mistake reported at once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, SecretStr, field_validator, model_validator

from orchestrator.errors import ConfigurationError
from orchestrator.sdk import Plugins, PluginSettings, SettingsPlugin, discover
from orchestrator.sdk.settings import settings_problems


class StockSettings(PluginSettings, prefix="STOCK"):
    """Settings of the stock tools."""

    url: str
    """Where the stock is kept."""
    limit: Annotated[int, Field(ge=1)] = 10
    """Most pieces of one reservation."""
    shops: tuple[str, ...] = ()
    folder: Path | None = None
    token: SecretStr = SecretStr("")

    @field_validator("token")
    @classmethod
    def _short(cls, token: SecretStr) -> SecretStr:
        if len(token.get_secret_value()) > 5:
            raise ValueError(f"{token.get_secret_value()} is too long")
        return token

    @model_validator(mode="after")
    def _together(self) -> "StockSettings":
        if self.limit > 100 and not self.shops:
            raise ValueError("a limit above 100 needs shops")
        return self


def problems_in(environment: dict[str, str]) -> list[str]:
    return list(settings_problems([StockSettings], environment))


def test_each_field_is_a_variable() -> None:
    settings = StockSettings.read(
        {
            "ORCHESTRATOR_STOCK_URL": "stock:1",
            "ORCHESTRATOR_STOCK_LIMIT": "5",
            "ORCHESTRATOR_STOCK_SHOPS": "north, south,",
            "ORCHESTRATOR_STOCK_FOLDER": "data",
            "ORCHESTRATOR_STOCK_TOKEN": "abc",
            "PATH": "/bin",
        }
    )

    assert settings == StockSettings(
        url="stock:1", limit=5, shops=("north", "south"), folder=Path("data"), token=SecretStr("abc")
    )


def test_the_process_s_environment_is_read_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_STOCK_URL", "one")
    assert StockSettings.read().url == "one"
    monkeypatch.setenv("ORCHESTRATOR_STOCK_URL", "two")
    assert StockSettings.read().url == "two"


def test_every_mistake_says_the_variable_and_what_it_sets() -> None:
    assert problems_in({"ORCHESTRATOR_STOCK_LIMIT": "0"}) == [
        "ORCHESTRATOR_STOCK_URL: it is required, set it (Where the stock is kept.)",
        "ORCHESTRATOR_STOCK_LIMIT: Input should be greater than or equal to 1 "
        "(Most pieces of one reservation.)",
    ]


def test_a_mistake_between_fields_names_the_prefix() -> None:
    given = {"ORCHESTRATOR_STOCK_URL": "a", "ORCHESTRATOR_STOCK_LIMIT": "101"}

    assert problems_in(given) == ["ORCHESTRATOR_STOCK_*: a limit above 100 needs shops"]


@pytest.mark.parametrize("token", ["hunter2", "  hunter2  "])
def test_a_secret_is_not_in_what_is_wrong_with_it(token: str) -> None:
    given = {"ORCHESTRATOR_STOCK_URL": "a", "ORCHESTRATOR_STOCK_TOKEN": token}

    assert problems_in(given) == ["ORCHESTRATOR_STOCK_TOKEN: its value is not valid"]
    with pytest.raises(ConfigurationError) as raised:
        StockSettings.read(given)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("rest", ["PORT", "URL_FOR_OTHERS", "TTL"])
def test_a_variable_that_only_shares_the_prefix_is_somebody_elses(rest: str) -> None:
    given = {"ORCHESTRATOR_STOCK_URL": "a", f"ORCHESTRATOR_STOCK_{rest}": "1"}

    assert problems_in(given) == []


def test_a_variable_in_lower_case_is_reported() -> None:
    given = {"ORCHESTRATOR_STOCK_URL": "a", "orchestrator_stock_limit": "1"}

    assert problems_in(given) == [
        "orchestrator_stock_limit is not read: write it as ORCHESTRATOR_STOCK_LIMIT"
    ]


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("ORCHESTRATOR_STOCK_LIMITS", "ORCHESTRATOR_STOCK_LIMIT"),
        ("ORCHESTRATOR_STOCK_SHOP", "ORCHESTRATOR_STOCK_SHOPS"),
        ("ORCHESTRATOR_STOCK_SOMETHING_ELSE", ""),
        ("ORCHESTRATOR_STACK_LIMIT", ""),
        ("ORCHESTRATOR_STOCK_LIMITED", ""),
    ],
)
def test_a_misspelled_variable_under_the_prefix_is_reported(variable: str, meant: str) -> None:
    given = {"ORCHESTRATOR_STOCK_URL": "a", variable: "1"}
    platform = ["ORCHESTRATOR_STOCK_LIMITED"]

    problems = list(settings_problems([StockSettings], given, platform))

    assert problems == ([f"{variable} is not a setting; did you mean {meant}?"] if meant else [])


def test_a_variable_of_the_platform_cannot_be_declared() -> None:
    given = {"ORCHESTRATOR_STOCK_URL": "a"}

    (problem,) = settings_problems([StockSettings], given, ["ORCHESTRATOR_STOCK_LIMIT"])

    assert problem.startswith("ORCHESTRATOR_STOCK_LIMIT is a variable of the platform")


@pytest.mark.parametrize("prefix", ["", "stock", "STOCK_", "ST OCK", "KAFKA", "SCHEMA_REGISTRY_X"])
def test_a_prefix_that_cannot_be_one(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be a prefix"):

        class Wrong(PluginSettings, prefix=prefix):
            """Never made."""


def test_settings_are_a_plug_in() -> None:
    plugins = Plugins.of(StockSettings)

    assert dict(plugins.by_name(SettingsPlugin)) == {"ORCHESTRATOR_STOCK_": SettingsPlugin(StockSettings)}


def test_what_is_not_a_plug_in_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="neither a module nor a plug-in"):
        Plugins.of(PluginSettings)


def test_two_settings_of_one_prefix_are_a_mistake() -> None:
    class Other(PluginSettings, prefix="STOCK"):
        """Of somebody else."""

    with pytest.raises(ConfigurationError, match="role settings have the name ORCHESTRATOR_STOCK_"):
        Plugins.of(StockSettings, Other)


def test_what_is_wrong_beyond_values_is_asked_for_apart() -> None:
    class Checked(PluginSettings, prefix="CHECKED"):
        def problems(self) -> Iterable[str]:
            return ["the file is empty"]

    assert list(SettingsPlugin(Checked).problems()) == ["the file is empty"]
    assert list(SettingsPlugin(StockSettings).problems()) == []


def test_a_process_does_not_find_plug_ins_with_wrong_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme_stock.py").write_text(
        "from orchestrator.sdk import PluginSettings\n"
        "class Acme(PluginSettings, prefix='ACME'):\n"
        "    limit: int = 1\n"
        "Acme.read()\n"
    )
    monkeypatch.setenv("ORCHESTRATOR_ACME_LIMIT", "none")
    monkeypatch.setenv("ORCHESTRATOR_TOOLS_SQL_THREADS", "none")

    with pytest.raises(ConfigurationError) as raised:
        discover([str(tmp_path / "acme_stock.py")])

    loaded, tools = raised.value.problems
    assert loaded.startswith(f"module {tmp_path / 'acme_stock.py'}: ORCHESTRATOR_ACME_LIMIT: ")
    assert tools.startswith("ORCHESTRATOR_TOOLS_SQL_THREADS: ")


def test_all_settings_of_ours_are_found() -> None:
    found = {plugin.declared for plugin in discover().by_name(SettingsPlugin).values()}

    ours = {
        one
        for one in PluginSettings.__subclasses__()
        if one.__module__.startswith(("orchestrator.", "orchestrator_services."))
    }
    assert ours == found, f"import these where their plug-in's entry point leads: {ours ^ found}"
