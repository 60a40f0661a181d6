"""Changing collections: prepare, plan, rehearse, sign and publish without losing a race."""
