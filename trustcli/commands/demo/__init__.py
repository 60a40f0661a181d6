"""`trust demo`: the whole main job in a temporary folder."""
