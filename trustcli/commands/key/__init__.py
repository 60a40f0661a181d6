"""`trust key`: manage the key store, import keys, rotate the keys of roles."""
