"""Label tables of every form."""
