"""`trust key`: the key store, import of keys, rotation."""
