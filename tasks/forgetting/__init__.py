"""Deletion requests: rewritten out of every file, and never taken in again."""
