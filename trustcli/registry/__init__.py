"""Container images: references, manifests, registries, and the container engine."""
