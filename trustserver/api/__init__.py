"""The HTTP API: frequent reads and Notary v1 as plain ASGI applications, everything else with FastAPI."""
