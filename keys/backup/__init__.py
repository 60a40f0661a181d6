"""Backups of private keys: one encrypted file, opened with a passphrase or with shares, and proven before it counts."""
