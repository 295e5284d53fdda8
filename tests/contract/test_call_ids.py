"""Ids of calls: with keys, nobody else can compute them."""

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from orchestrator.messages import identity
from orchestrator.messages.call_ids import UNKEYED, CallIds
from orchestrator.messages.types import Call, CallKind

SESSION = "0190b5a4-7c1e-7c3a-9d57-6f2f0f6b2a11"
OLD, NEW, OTHER = (name * 16 for name in (b"ol", b"ne", b"ot"))
CALL = Call(call_id="", kind=CallKind.SELECTION, revision=2, step_id="deploys", attempt=3, due_at=0)


def issued(ids: CallIds, call: Call = CALL) -> Call:
    return replace(call, call_id=ids.issued(SESSION, call))


def test_ids_never_change() -> None:
    assert issued(CallIds([NEW])).call_id == "ab2b2d3e-351e-8622-b481-843168bc6cfe"


def test_an_id_is_issued_again_and_recognised() -> None:
    call = issued(CallIds([NEW]))

    assert call == issued(CallIds([NEW]))
    assert UUID(call.call_id).version == 8
    assert CallIds([NEW]).has_issued(SESSION, call)


@pytest.mark.parametrize(
    "other",
    [
        {"revision": 3},
        {"step_id": "rollback"},
        {"attempt": 2},
        {"kind": CallKind.PLAN},
        {"call_id": identity.call_id(SESSION, "SELECTION", 2, "deploys", 3)},
        {"call_id": ""},
        {"call_id": "\udc80\u00e9"},
    ],
)
def test_an_id_of_something_else_is_not_recognised(other: dict[str, Any]) -> None:
    ids = CallIds([NEW])

    assert not ids.has_issued(SESSION, replace(issued(ids), **other))
    assert not ids.has_issued(SESSION.replace("0190", "0191"), issued(ids))


def test_long_texts_of_others_are_not_remembered() -> None:
    ids = CallIds([NEW])

    for number in range(20):
        long = replace(issued(UNKEYED), step_id=f"{number}" * 100_000)
        assert not ids.has_issued(SESSION, long)
        assert not ids.has_issued(long.step_id, issued(UNKEYED))

    assert ids.remembered == 0


def test_an_id_lasts_from_selection_to_run_and_recovery() -> None:
    ids = CallIds([NEW])
    running = replace(issued(ids), kind=CallKind.TOOL, tool="deploys.list")
    recovering = replace(running, kind=CallKind.RECOVERY, failed_kind=CallKind.TOOL)

    assert ids.has_issued(SESSION, running)
    assert ids.has_issued(SESSION, recovering)


def test_keys_are_replaced_while_calls_are_open() -> None:
    before, meanwhile, after = CallIds([OLD]), CallIds([NEW, OLD]), CallIds([NEW])
    open_before = issued(before)

    assert meanwhile.has_issued(SESSION, open_before)
    assert issued(meanwhile) == issued(after)
    assert not after.has_issued(SESSION, open_before)
    assert not CallIds([OTHER]).has_issued(SESSION, issued(after))


def test_keys_are_introduced_while_calls_are_open() -> None:
    open_before = issued(UNKEYED)

    assert open_before.call_id == identity.call_id(SESSION, "SELECTION", 2, "deploys", 3)
    assert CallIds([NEW], accepts_unkeyed=True).has_issued(SESSION, open_before)
    assert not CallIds([NEW]).has_issued(SESSION, open_before)
    assert not CallIds([NEW], accepts_unkeyed=True).are_secret
    assert CallIds([NEW]).are_secret
