"""Decide whether a challenger is significantly better than the champion."""
