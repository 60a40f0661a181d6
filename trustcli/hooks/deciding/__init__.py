"""Deciding whether an image may run: the one decision behind every command and every hook."""
