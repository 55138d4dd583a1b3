"""Metrics of predictions, from counts that add up over shards."""
