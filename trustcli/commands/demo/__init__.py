"""`trust demo`: show all main commands in a temporary folder."""
