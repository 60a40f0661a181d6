"""The server of trust data: judges uploads, issues snapshot and timestamp, answers reads."""
