"""What this machine is set to: trust.toml, environment, global options, Docker's configuration."""
