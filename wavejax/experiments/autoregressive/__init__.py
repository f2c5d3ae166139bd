"""What the families share whose model predicts the next sample, whatever the model and the product."""
