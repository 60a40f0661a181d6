"""The server without sockets."""
