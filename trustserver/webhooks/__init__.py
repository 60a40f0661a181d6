"""Tell other programs of changes: which hooks there are, what they are told, and the sending of it."""
