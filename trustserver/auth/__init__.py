"""Who asks and whether they may: authorizers, registry tokens, the keys that sign tokens."""
