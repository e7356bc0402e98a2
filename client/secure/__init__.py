"""The site's part of secure aggregation: its keys, what it has summed, and the steps of a round."""
