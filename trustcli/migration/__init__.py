"""Collections that move from another Notary server to ours."""
