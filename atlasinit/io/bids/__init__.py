"""Atlases in BIDS 1.11 derivative datasets, and in the older names of TemplateFlow."""
