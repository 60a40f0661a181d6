"""What several commands share: planning, key sources, names, confirmation, views."""
