"""The command line: commands in `commands/`, and what they share.

Modules import what is heavy inside their commands, so that `--help` and completion answer at once.
"""
