"""Tasks: a model, a loss and data put together into something that trains and speaks."""
