"""Report trainings to MLflow, and fetch models from it."""
