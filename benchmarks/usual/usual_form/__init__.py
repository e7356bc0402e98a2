"""The usual form of a Flower app."""
