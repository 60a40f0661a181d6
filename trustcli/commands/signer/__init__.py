"""`trust signer`: the command line, removing signers, and giving them new keys."""
