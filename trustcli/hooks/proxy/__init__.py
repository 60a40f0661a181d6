"""The verifying registry proxy: an OCI distribution endpoint that hands out what is signed, and nothing else."""
