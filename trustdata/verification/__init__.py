"""The rules: what a client trusts, what a publisher may send, and where trust begins."""
