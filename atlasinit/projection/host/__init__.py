"""Projection by NumPy and SciPy, of data that lie on the host."""
