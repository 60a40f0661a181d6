"""Programs that others call: containerd's image verifier and Docker's CLI plugin."""
