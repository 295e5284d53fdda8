"""Documents that refer to outputs: a few bytes of references must not come to gigabytes."""

from typing import Any

import pytest

from orchestrator.errors import ContractError
from orchestrator.messages.filling import MOST_FILLED, MOST_REFERENCES, Room, fill_content, require_room
from orchestrator.messages.types import Document, Reference, Value
from orchestrator.sdk import InvalidInput, Output, Plan, document, rendered, step

MEGABYTE = "A" * 1_000_000
TOO_MUCH = "stand for more than 32 MiB together"


def of(*references: tuple[str, str, str]) -> list[Reference]:
    return [Reference(into=into, step_id=step_id, at=at) for into, step_id, at in references]


def times(count: int, step_id: str, at: str = "") -> list[Reference]:
    return of(*[(f"/{index}", step_id, at) for index in range(count)])


def test_references_to_a_large_output_are_refused_beyond_the_bound() -> None:
    with pytest.raises(ContractError, match=TOO_MUCH):
        fill_content([None] * 3000, times(3000, "a"), {"a": MEGABYTE})


def test_one_reference_may_stand_for_an_output_of_any_size() -> None:
    large = "A" * (MOST_FILLED + 1)

    assert fill_content(None, of(("", "a", "")), {"a": large}) is large


def test_small_parts_of_a_large_output_may_be_used_often() -> None:
    outputs = {"a": {"text": MEGABYTE, "name": "x"}}

    assert fill_content([None] * 3000, times(3000, "a", "/name"), outputs) == ["x"] * 3000


def test_large_parts_are_measured_wherever_they_are() -> None:
    parts = [(f"/{index}", "a", f"/{index}") for index in range(100)]

    with pytest.raises(ContractError, match=TOO_MUCH):
        fill_content([None] * 100, of(*parts), {"a": [MEGABYTE] * 100})


def test_outputs_in_outputs_do_not_grow_with_each_other() -> None:
    levels = 20
    outputs: dict[str, Any] = {f"o{level}": [None, None] for level in range(levels)}
    references = of(
        ("", "o0", ""),
        *[("/0" * level + f"/{side}", f"o{level + 1}", "") for level in range(levels - 1) for side in (0, 1)],
    )

    filled = fill_content(None, references, outputs)

    # Each reference adds one list of two, although the same output stands on both sides.
    assert str(filled).count("[") == len(references)
    assert all(output == [None, None] for output in outputs.values())


def test_the_size_of_whole_outputs_is_known_before_they_are_loaded() -> None:
    stored = Value(media_type="application/json", uri="file:///nowhere", size=MOST_FILLED // 2 + 1, sha256="")

    require_room(Document(references=tuple(times(1, "a"))), {"a": stored})
    with pytest.raises(ContractError, match=TOO_MUCH):
        require_room(Document(references=tuple(times(2, "a"))), {"a": stored})


def test_references_of_one_document_are_counted() -> None:
    room = Room()
    for _ in range(MOST_REFERENCES):
        room.take_bytes(0)

    with pytest.raises(ContractError, match="more than 10,000 references"):
        room.take_bytes(0)


def test_placeholders_of_a_playbook_stand_for_a_bounded_size() -> None:
    inputs = {"text": MEGABYTE, "name": "x"}

    assert rendered(["${name}"] * 3000, inputs) == ["x"] * 3000
    for content in (["${text}"] * 3000, "${text}" * 3000):
        with pytest.raises(InvalidInput, match=TOO_MUCH) as raised:
            rendered(content, inputs)
        assert raised.value.code == "inputs_too_large"


def test_placeholders_of_all_steps_share_what_there_is() -> None:
    room = Room()
    rendered(["${text}"] * 30, {"text": MEGABYTE}, room)

    with pytest.raises(InvalidInput, match=TOO_MUCH):
        rendered(["${text}"] * 30, {"text": MEGABYTE}, room)


def test_data_that_stands_in_many_places_of_a_document_is_bounded() -> None:
    with pytest.raises(InvalidInput, match="more than 64 MiB") as raised:
        document([[MEGABYTE] * 100] * 100)

    assert raised.value.code == "document_too_large"


def test_a_document_has_a_bounded_number_of_references() -> None:
    assert len(document([Output("a")] * MOST_REFERENCES).references) == MOST_REFERENCES
    with pytest.raises(InvalidInput, match="more than 10,000 references"):
        document([Output("a")] * (MOST_REFERENCES + 1))


def test_a_long_key_is_not_repeated_for_each_reference_below_it() -> None:
    with pytest.raises(InvalidInput, match="more than 1,000 characters: shorten the keys above it") as raised:
        document({"k" * 20_000: [Output("a")] * 10_000})

    assert len(str(raised.value)) < 300


def test_long_keys_without_references_are_data() -> None:
    assert document({"k" * 20_000: 1}).references == ()


def test_problems_of_a_plan_are_bounded() -> None:
    steps = [step(f"{'s' * 5000}{index}", "t", after=[f"{'n' * 5000}{index}"]) for index in range(1000)]

    with pytest.raises(InvalidInput) as raised:
        Plan(steps)

    assert len(str(raised.value)) < 10_000
    assert str(raised.value).endswith("there are more problems")


def test_a_long_cycle_is_named_in_part() -> None:
    steps = [step(f"s{index}", "t", after=[f"s{(index + 1) % 3000}"]) for index in range(3000)]

    with pytest.raises(InvalidInput, match=r"wait for each other: .* and 2,996 more") as raised:
        Plan(steps)

    assert len(str(raised.value)) < 200
