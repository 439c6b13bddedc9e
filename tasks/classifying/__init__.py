"""A category's classifier, its threshold, and whose word goes before its score."""
