"""The `trust` program: signs, verifies and manages collections from the command line."""
