"""Track trainings in MLflow, and fetch models from it."""
