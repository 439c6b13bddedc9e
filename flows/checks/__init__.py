"""Looked at before any command begins."""
