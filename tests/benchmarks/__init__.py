"""Measurements beside a peer in the same run: ratios, never asserted in a test (`make bench`)."""
