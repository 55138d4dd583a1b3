"""What a dataset is: its columns, splits, shards and manifest; all stages agree on this."""
