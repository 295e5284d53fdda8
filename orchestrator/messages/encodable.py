"""Text as messages can hold it: UTF-8 has no halves of characters (lone surrogates), but Python's strings may."""


def encodable(text: str, longest: int | None = None) -> str:
    """The text with halves of characters as escapes, cut after `longest` characters."""
    # Of the class, because a subclass may have an `encode` of its own.
    clean = str.encode(text, "utf-8", "backslashreplace").decode()
    return clean if longest is None or len(clean) <= longest else clean[: longest - 1] + "…"
