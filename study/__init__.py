"""A grid of presets, embeddings, sources, target sizes, strategies and seeds, in this process; imports both sides."""
