"""Turn raw images into a dataset, in Spark."""
