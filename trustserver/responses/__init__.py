"""Answers that are ready to send: their cache, both formats' files, gzip, the paths they are kept under."""
