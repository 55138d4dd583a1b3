"""A table of trainings: what is run, what came of it, and what a paper says of the same."""
