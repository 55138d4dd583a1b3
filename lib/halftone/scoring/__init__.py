"""Score a dataset or raw images with a trained model, in Spark."""
