"""Masks and meshes that are laid over the parts of files."""
