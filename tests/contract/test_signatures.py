"""Signatures of commands: with keys, nobody else can write or change one."""

import pytest

from orchestrator.messages.signatures import UNSIGNED, Signatures

OLD, NEW, OTHER = (name * 16 for name in (b"ol", b"ne", b"ot"))
VALUE = b"\x00\x00\x00\x00\x07a command"


def test_signatures_never_change() -> None:
    assert Signatures([NEW]).signature(VALUE) == b"2513182a39b7a90e18118c7fa4a55c4f"


def test_what_was_signed_is_recognised() -> None:
    assert Signatures([NEW]).has_signed(VALUE, Signatures([NEW]).signature(VALUE))


@pytest.mark.parametrize(
    "signature",
    [
        None,
        b"",
        b"\xff" * 32,
        Signatures([OTHER]).signature(VALUE),
        Signatures([NEW]).signature(VALUE + b"."),
    ],
)
def test_what_somebody_else_wrote_is_not(signature: bytes | None) -> None:
    assert not Signatures([NEW]).has_signed(VALUE, signature)


def test_a_key_can_be_replaced_while_commands_wait() -> None:
    before, during, after = Signatures([OLD]), Signatures([NEW, OLD]), Signatures([NEW])

    assert during.has_signed(VALUE, before.signature(VALUE))
    assert after.has_signed(VALUE, during.signature(VALUE))
    assert not after.has_signed(VALUE, before.signature(VALUE))


def test_keys_can_be_introduced_while_commands_wait() -> None:
    introducing = Signatures([NEW], accepts_unsigned=True)

    assert introducing.has_signed(VALUE, None)
    assert not introducing.has_signed(VALUE, b"0" * 32)


def test_without_keys_nothing_is_signed_or_checked() -> None:
    assert UNSIGNED.signature(VALUE) is None
    assert UNSIGNED.has_signed(VALUE, None)
    assert UNSIGNED.has_signed(VALUE, b"anything")
