"""Serving HTTP/1.1 on threads: the small server that the resident hooks share."""
