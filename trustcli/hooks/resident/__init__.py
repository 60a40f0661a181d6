"""Trust data kept in memory, for hooks that stay: verified once, refreshed in the background, asked many times."""
