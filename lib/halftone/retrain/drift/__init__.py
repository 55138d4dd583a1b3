"""Detect whether new images differ from those that the last model was trained on."""
