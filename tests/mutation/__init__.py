"""Mutation testing of verification: `make mutation`, a part of `make test-long`."""
