"""Trained models for other runtimes, and datasets for frameworks that do not read Parquet."""
