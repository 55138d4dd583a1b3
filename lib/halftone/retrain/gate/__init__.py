"""Whether a challenger is better than the champion by more than chance."""
