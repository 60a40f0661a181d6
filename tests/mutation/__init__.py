"""Mutation testing of verification and keys: `make mutation`, a part of `make test-long`."""
