"""Find labels that are probably wrong, by predictions of models that have not seen the images."""
