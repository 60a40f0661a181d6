"""What the client keeps between invocations and must not lose: pins and rollback memory."""
