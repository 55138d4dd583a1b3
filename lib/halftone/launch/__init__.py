"""Start the ranks of a training, watch them, and restart them from the last checkpoint."""
