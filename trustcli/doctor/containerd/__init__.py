"""`trust doctor containerd`: find the ways in which an image can reach this node unverified."""
