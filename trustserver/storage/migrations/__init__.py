"""The changes of the database schema, in order. Files are named NNNN_what_it_does.py."""
