"""Key material, signers and key stores. It knows nothing of metadata and imports no other package of this project."""
