"""The operator's commands: check the stored data (audit), accept a restored database, list and release collections."""
