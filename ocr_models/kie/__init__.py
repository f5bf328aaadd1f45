"""Key information extraction: what the words of a page mean, and which belong together."""
