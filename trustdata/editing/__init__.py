"""New contents from verified ones: edits, the next snapshot and timestamp, signing, promises for plans."""
