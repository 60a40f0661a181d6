"""The resident verifier of a node: a Unix socket, what stands behind it, and its clients."""
