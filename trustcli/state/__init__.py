"""Files that the client must not lose between two runs: pins, rollback memory, lock file, unfinished rotations."""
