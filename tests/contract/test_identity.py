"""Derived ids never change: history refers to them."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.messages import identity

SESSION = "0190b5a4-7c1e-7c3a-9d57-6f2f0f6b2a11"


def test_derived_ids_are_stable() -> None:
    assert str(identity.NAMESPACE) == "c0dc2bf4-96b7-5432-8d95-dcbc051e89bd"
    assert identity.claim_of("default", "order-17").hex() == "930314681b678464668125785130833d"
    assert identity.session_at("cluster/agents.", "tasks", 3, 17) == "72c95433-1cdd-5551-992b-98c794fb7b43"
    assert identity.call_id(SESSION, "TOOL", 1, "a", 2) == "dc8ccb86-c6e1-53e1-a953-e31b5371b377"
    assert identity.output_id(SESSION, SESSION, "orchestrator/3", 0) == "f95dad79-d075-5550-8b7e-968a4b7f1af6"


@given(st.lists(st.text(max_size=20) | st.integers(), max_size=4))
def test_a_derived_id_is_a_version_5_uuid(parts: list[object]) -> None:
    expected = uuid5(identity.NAMESPACE, "/".join(map(str, parts)))
    assert identity.derived_id(*parts) == str(expected)


def test_the_trace_is_the_session() -> None:
    assert identity.trace_id(SESSION) == UUID(SESSION).int
