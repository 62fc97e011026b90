"""A classifier that knows when an image is not something it was trained for, as one ONNX file."""
