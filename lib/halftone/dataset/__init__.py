"""The format of a dataset, which all stages share: columns, splits, shards and manifest."""
