"""What both sides of a federation share: terms, formats and the model."""

__version__ = "0.1.0"
