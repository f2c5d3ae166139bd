"""What the families have in common whose model makes a whole window of sound at once: config, data, learner, card."""
