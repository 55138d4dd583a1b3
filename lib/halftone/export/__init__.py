"""Datasets in other formats, for training frameworks that do not read Parquet."""
