"""The command line: `commands/` holds the commands, the other files what they share.

Commands import heavy modules inside their functions, so that `--help` and completion respond at once.
"""
