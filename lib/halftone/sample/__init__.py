"""A synthetic sample: photo-like and comic-like faces, for trying the pipeline."""
