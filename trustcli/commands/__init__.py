"""The commands of `trust`: one file each, a folder with `command.py` where one file is not enough."""
