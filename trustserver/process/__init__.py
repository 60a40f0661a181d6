"""The process: its lock, its TLS files, its logs."""
