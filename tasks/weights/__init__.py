"""Weights that undo what filtering did, or meet what a team declares."""
