"""`trust migrate`: move collections from another Notary server to ours."""
