"""Collections: publish, commit, sign online roles, renew, limit sizes (quotas), import, and read in both formats."""
