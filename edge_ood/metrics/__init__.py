"""What is measured: ranking metrics, rates and their intervals, on NumPy arrays alone."""
