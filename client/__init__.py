"""The site: it alone opens encounters and embedding tables."""
