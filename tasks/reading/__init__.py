"""From shards to samples: every layout of a pool, read as a stream."""
