"""The trust server: checks uploads, signs snapshot and timestamp, and serves the metadata."""
