"""Files whose values say nothing of where they lie."""
