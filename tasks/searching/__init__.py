"""Generated images against the training images, kept and removed."""
