"""Experiments: tables of trainings with their results beside those of a paper."""
