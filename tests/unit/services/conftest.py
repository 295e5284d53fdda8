from collections.abc import Callable

import pytest

Setting = Callable[[str, str], None]


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Setting:
    """Sets a variable of the environment."""
    return monkeypatch.setenv
