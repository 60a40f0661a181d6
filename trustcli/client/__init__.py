"""The client side of a trust server: fetch and verify metadata, keep it, and talk to servers of both formats."""
