"""A page that scores pictures in a browser, with the artefact and onnxruntime-web in it."""
