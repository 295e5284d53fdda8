"""The commands, one file a command or a group of them."""
