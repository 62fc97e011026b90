"""From `classifier.onnx` to a calibrated, verified artefact, without torch."""
