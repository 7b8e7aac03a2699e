"""Products of maps with data, one kernel a representation."""
