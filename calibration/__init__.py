"""Numbers in, numbers out: class Gaussians, conformal thresholds and p-values.

Pure NumPy; nothing here opens a file or a session. Imported as `edge_ood.calibration`.
"""
