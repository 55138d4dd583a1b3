"""Models in the format of MLflow: what is uploaded, and the code that predicts in its clients."""
