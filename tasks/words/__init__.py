"""Captions as words and phrases: counted once, compared with intervals."""
