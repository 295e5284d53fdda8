"""CEL expressions: what they name, and how they say what is wrong with them."""

import pytest
from orchestrator_services.expressions import LONGEST, ExpressionError, compiled

VARIABLES = ("outputs", "result", "goal")


@pytest.mark.parametrize(
    ("source", "members"),
    [
        ("outputs.routes.rows[0].p95_ms > 500.0", {"routes"}),
        ("outputs.a.x > 0 && outputs['b-c'].y > 0", {"a", "b-c"}),
        ('outputs["a"].x == "outputs.z"', {"a"}),
        ("outputs . a == 1 // outputs.b", {"a"}),
        (r'result == r"\" && outputs.a == "it\"s outputs.b"', {"a"}),
        ('result == """ "outputs.b" """ || outputs.a == 1', {"a"}),
        (r"outputs[r'a\b'] == 1", {r"a\b"}),
        ("result.outputs.z == 1", set()),
        ("outputs.rows.all(row, row.outputs == outputs.limit)", {"rows", "limit"}),
        ("has(outputs.a) && size(outputs.b) == 1u", {"a", "b"}),
        ("goal == 'x'", set()),
        ("outputs.all(k, outputs[k] != null)", None),
        ("outputs[goal] == 1", None),
        ("size(outputs) == 2", None),
    ],
)
def test_an_expression_names_the_members_it_needs(source: str, members: set[str] | None) -> None:
    assert compiled(source, VARIABLES).members("outputs") == members


def test_an_expression_names_variables_and_not_members_called_like_them() -> None:
    expression = compiled("outputs.result.goal == 'result'", VARIABLES)

    assert expression.names("outputs")
    assert not expression.names("result")
    assert not expression.names("goal")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("1 +", "line 1, column 4: mismatched input '<EOF>'"),
        ("output.a == 1", "uses unknown names: output; it may use outputs, result, goal"),
        ("(" * 200 + "1" + ")" * 200, "Recursion limit"),
        ("1" + "+1" * LONGEST, f"at most {LONGEST} are allowed"),
    ],
)
def test_an_invalid_expression_is_explained(source: str, text: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        compiled(source, VARIABLES)

    assert text in str(raised.value)
    assert len(str(raised.value)) < 900


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("outputs.a == 1", "a not found"),
        ("1 / 0 == 1", "division by zero"),
        ("goal.startsWith(1)", "it"),
        ("result.startsWith('a')", "startsWith is not a function, or not one that values of this type have"),
        ("goal", "it must be true or false, not str"),
        ("1 + 1.5 > 2.0", "the operation is not defined for the given operand types."),
    ],
)
def test_what_cannot_be_evaluated_says_why(source: str, text: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        compiled(source, VARIABLES).holds({"outputs": {}, "result": 3, "goal": "x"})

    assert text in str(raised.value)


def test_macros_bind_names_of_their_own() -> None:
    expression = compiled("outputs.a.exists(row, row.n > 1) && type(result) == int", VARIABLES)

    assert expression.holds({"outputs": {"a": [{"n": 2}]}, "result": 1, "goal": ""})
