"""The core that both programs judge with: bytes in, verdicts and new metadata out; no I/O, no clock."""
