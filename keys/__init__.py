"""Key material, signers and key stores. Knows nothing of metadata; imports nothing of the other packages."""
