"""Public weights -> wavejax parameters, read without PyTorch and without running a pickle."""
