"""`trust doctor`: checks of this machine, of a collection and its servers, and of containerd's configuration."""
