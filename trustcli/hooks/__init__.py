"""Pull-time hooks: the admission of one image, and the programs that container runtimes call."""
