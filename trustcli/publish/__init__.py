"""Publish changes of a collection: prepare and sign, send, try again after a conflict; or plan without sending."""
