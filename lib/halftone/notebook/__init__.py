"""Parameters and figures for the notebooks."""
