"""Storage: its interfaces (ports), the SQL database and its migrations, sealed private keys, the published log."""
