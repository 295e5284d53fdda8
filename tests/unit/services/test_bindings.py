"""References in plans of models: what they come to and what is said about them is bounded."""

from typing import Any

from orchestrator_services.strategies.bindings import Binding

STEPS = {f"step_{index}": f"plan1-step_{index}" for index in range(2000)}


def output(step: str) -> dict[str, Any]:
    return {"$output": step}


def test_problems_with_references_are_bounded() -> None:
    binding = Binding(STEPS, {})

    binding.bound([output("no")] * 4000, "a")

    assert len(binding.problems) == 21
    assert binding.problems[-1] == "there are more problems"
    assert binding.problems[0] == (
        "a.0: there is no output of a step no; there are those of step_0, step_1, step_2, step_3, step_4 and 1,995 "
        "more"
    )


def test_names_and_places_in_problems_are_bounded() -> None:
    binding = Binding({"s" * 100_000: "x"}, {})

    binding.bound({"k" * 100_000: [output("n" * 100_000)]}, "a")

    (problem,) = binding.problems
    assert len(problem) < 500


def test_earlier_outputs_are_put_into_a_plan_up_to_a_bound() -> None:
    earlier = {"plan1-a": "A" * 1_000_000, "plan1-b": "x"}
    binding = Binding({}, earlier)

    assert binding.bound([output("b")] * 3000, "a") == ["x"] * 3000
    assert not binding.problems

    # Of all steps of the plan together.
    for name in ("one", "two", "three"):
        binding.bound([output("a")] * 20, name)

    assert "stand for more than 32 MiB together" in binding.problems[0]
