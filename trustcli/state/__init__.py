"""Files that the client must not lose between two runs: pins, rollback memory and the project's lock file."""
