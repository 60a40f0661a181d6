"""The sockets: the HTTP server (granian), the fast path for frequent reads, and the tunnel between the two."""
