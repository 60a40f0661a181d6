"""What `trust doctor` looks at, one concern a file. None writes, prompts or opens a private key."""
