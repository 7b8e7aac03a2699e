"""From the parts of files and label tables to an atlas."""
