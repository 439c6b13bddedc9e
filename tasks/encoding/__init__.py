"""Images and prompts to embeddings."""
