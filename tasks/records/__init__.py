"""Where a sample or a version came from."""
