"""Image files: folders and splits, decoding, and the way to network input."""
