"""What names a session: a UUID in its canonical form, and the beginning of one."""

import pytest

from orchestrator.messages.identity import canonical_uuid
from orchestrator.operations.errors import UsageError
from orchestrator.operations.session_ids import is_whole, session_id

SESSION = "0190b5a4-1111-7abc-8def-0123456789ab"

OTHER_FORMS = [
    "",
    "order-17",
    SESSION.replace("-", ""),
    f"{{{SESSION}}}",
    f"urn:uuid:{SESSION}",
    f" {SESSION}",
    f"{SESSION}\n",
    SESSION.replace("0", "\N{FULLWIDTH DIGIT ZERO}"),
    SESSION.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}"),
    SESSION.replace("a", "\N{FULLWIDTH LATIN SMALL LETTER A}"),
    "0190b5a41-111-7abc-8def-0123456789ab",
    f"{SESSION}0",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
]


@pytest.mark.parametrize("text", [SESSION, SESSION.upper(), SESSION.title()])
def test_upper_and_lower_case_are_one_id(text: str) -> None:
    assert canonical_uuid(text) == SESSION
    assert session_id(text) == SESSION


@pytest.mark.parametrize("text", OTHER_FORMS)
def test_no_other_form_is_an_id(text: str) -> None:
    assert canonical_uuid(text) is None


@pytest.mark.parametrize("length", [8, 9, 12, 14, 20, 35])
def test_the_beginning_of_an_id_is_in_its_form(length: int) -> None:
    assert session_id(SESSION[:length].upper()) == SESSION[:length]
    assert not is_whole(SESSION[:length])


@pytest.mark.parametrize(
    "text",
    [
        *OTHER_FORMS,
        "0190b5a4--",
        "a-------",
        "0190b5a",
        "0190b5a41111",
        "0190b5a4-1111-7abc-8def-0123456789aX",
    ],
)
def test_what_begins_no_id_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a session id: write the UUID"):
        session_id(text)
