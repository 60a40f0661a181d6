"""What several commands share: planning, key sources, confirmation, names, and views of results."""
