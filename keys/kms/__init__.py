"""Keys in the services of clouds and in Vault: AWS KMS, Google Cloud KMS, Azure Key Vault, Vault's transit engine.

Each service signs a digest that was made here. What they have in common is in `service_keys`; the libraries of the
providers tell who one is, and are imported when a key of theirs is used (docs/adr/0102).
"""
