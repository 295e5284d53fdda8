"""What holds for all tests."""

from hypothesis import settings

# The same examples in every run, and no time limit an example: a busy machine must not fail a test.
settings.register_profile("same-everywhere", deadline=None, derandomize=True)
settings.load_profile("same-everywhere")
