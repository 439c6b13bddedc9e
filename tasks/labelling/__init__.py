"""Active learning: which images to ask about next, and what is known so far."""
