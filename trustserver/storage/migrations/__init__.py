"""Schema changes, in order. Names: NNNN_what_it_does."""
