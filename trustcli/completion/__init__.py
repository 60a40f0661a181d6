"""Completion of command lines: what a shell may suggest for the word that is being typed (docs/adr/0076)."""
