"""Two sites' vocabularies, compared by their texts alone."""
