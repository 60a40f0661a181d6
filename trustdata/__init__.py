"""Rules for metadata that client and server share: bytes in, verdicts and new metadata out. No I/O, no clock."""
