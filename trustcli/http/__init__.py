"""HTTP, once: messages, bounds, proxies, TLS, connections, token authentication, errors."""
