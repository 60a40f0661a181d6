"""Key material, signers and key stores. This package knows nothing of metadata and imports no other of ours."""
