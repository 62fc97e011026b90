"""One image file, whatever it holds: read, recognised, decoded to upright 8-bit RGB."""
