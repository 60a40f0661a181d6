"""What only `trust doctor containerd` needs: a node's containerd configuration, its hook folder, our verifier there."""
