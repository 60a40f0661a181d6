"""Verify metadata: the rules of a client, the rules for uploads, pins, rollback memory and lock entries."""
