"""Fit a network on one rank, with the gradients of all ranks."""
