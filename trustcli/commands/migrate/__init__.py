"""`trust migrate`: collections that move from another Notary server to ours."""
