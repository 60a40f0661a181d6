"""What `trust demo` needs beside the product itself: an image, a registry, and a server that lies."""
