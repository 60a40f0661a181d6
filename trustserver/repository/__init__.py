"""The collections: publish, commit, online roles, renewal, quotas, import, reads in both formats."""
