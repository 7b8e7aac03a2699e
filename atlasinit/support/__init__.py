"""What knows nothing of brains: arrays, threads, precision, lazy imports, names of files."""
