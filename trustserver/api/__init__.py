"""HTTP: the hot reads as bare ASGI, the rest through FastAPI."""
