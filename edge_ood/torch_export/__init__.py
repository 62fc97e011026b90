"""From PyTorch to `classifier.onnx`, for runs and for networks of other origin."""
