"""Scheduled retraining: train a challenger on new images and promote it if it is better."""
