"""`trust hook`: put a pull-time hook in place, or be one."""
