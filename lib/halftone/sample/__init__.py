"""A synthetic sample of photo-like and comic-like faces, for trying the pipeline.

Only `sample_info` is part of `dist/halftone.zip`. `generate` and `drawing` serve the demo, the
tests and the benchmarks, which run from a clone.
"""
