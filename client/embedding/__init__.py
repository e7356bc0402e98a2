"""Embedding tables at the site: built with a language model, or imported from the paper's authors' files."""
