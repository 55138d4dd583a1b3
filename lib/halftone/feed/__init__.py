"""Batches for a training rank: which rows it reads in an epoch, and how they reach TensorFlow."""
