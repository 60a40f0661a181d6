"""Make new metadata from verified metadata: edits, the next snapshot and timestamp, signing, promises for plans."""
