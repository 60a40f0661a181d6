"""The socket: granian, the fast path for hot reads, the tunnel between them."""
