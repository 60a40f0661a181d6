"""Tell other programs of changes: which hooks there are, what they are told, and how it is sent, and sent again."""
