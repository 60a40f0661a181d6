"""Responses that are ready to send: how they are made for both formats, gzip, URL paths, and the response cache."""
