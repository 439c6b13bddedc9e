"""Term groups, and who is described or flagged as what."""
