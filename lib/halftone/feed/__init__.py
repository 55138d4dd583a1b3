"""Feed a training rank: plan which rows it reads in an epoch, and batch them for TensorFlow."""
