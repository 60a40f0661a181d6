"""Images: references, manifests, the registry that holds them and the engine that pulls them."""
