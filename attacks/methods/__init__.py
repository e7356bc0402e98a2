"""One attack a file; each gives scores, higher where it would rather say yes, and knows nothing of how it is judged."""
