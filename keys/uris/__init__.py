"""Key URIs: how they are written, what each kind can do, and the kinds that need no library.

`keys.key_opening` has the table of kinds. Each is loaded when a key of it is used, so that users do not pay for the
library of a kind that they do not have.
"""
