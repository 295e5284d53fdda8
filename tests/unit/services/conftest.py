from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from orchestrator_services.recovery.settings import settings as recovery_settings
from orchestrator_services.safety_monitor.model import settings as safety_settings
from orchestrator_services.safety_monitor.reviewer import rules
from orchestrator_services.tool_selector.settings import settings as selector_settings

from tests.unit.services.safety import RULES

Setting = Callable[[str, str], None]


@pytest.fixture(scope="session", autouse=True)
def imported_client() -> None:
    """The model client's library takes seconds to import, in which a session in memory would seem to hang."""
    import_module("orchestrator_services.models.client")
    import_module("orchestrator_services.models.scripts")


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    """Sets a variable of the environment, as a process that starts now finds it."""

    def read_again() -> None:
        recovery_settings.cache_clear()
        safety_settings.cache_clear()
        selector_settings.cache_clear()

    def set_variable(name: str, value: str) -> None:
        monkeypatch.setenv(name, value)
        read_again()

    yield set_variable
    read_again()


@pytest.fixture
def rules_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of the safety monitor's rules."""
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    monkeypatch.setenv("ORCHESTRATOR_SAFETY_RULES", str(file))
    rules.cache_clear()
    yield file
    rules.cache_clear()
