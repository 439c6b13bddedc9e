"""Keeping house: tags and rollback, what no version needs any more, lakes of an older format."""
