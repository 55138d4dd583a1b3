"""Raw images to a dataset, in Spark."""
