"""The command line, one file a command group.

Modules import what is heavy inside their commands, so that `--help` and completion answer at once.
"""
