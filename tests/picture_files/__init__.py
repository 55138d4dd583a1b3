"""Writers of image files in every variant of a format, for pictures that a test knows."""
