"""Faults for the search to find."""


def behind_conditions(case: bytes) -> None:
    if case[0] == ord("F"):  # noqa: SIM102 - four lines, so that each can be reached
        if case[1] == ord("U"):  # noqa: SIM102
            if case[2] == ord("Z"):  # noqa: SIM102
                if case[3] == ord("Z"):
                    raise ValueError("found")


def endless(case: bytes) -> None:
    count = len(case)
    while count:
        count += 1


def lasting(case: bytes) -> None:
    sum(range(len(case) + 10_000_000))
