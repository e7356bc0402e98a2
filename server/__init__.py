"""The coordinator: it sees weights and scores, never an encounter."""
