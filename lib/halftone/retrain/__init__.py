"""Scheduled retraining: what is new becomes a challenger, and the better model the champion."""
