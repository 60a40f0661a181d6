"""The configuration of one run: global options, `trust.toml`, and Docker's stored credentials."""
