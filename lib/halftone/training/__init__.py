"""Train a network on one rank, with gradients averaged over all ranks."""
