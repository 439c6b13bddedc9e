"""What people answered: an append-only log a category, and the rounds that asked."""
