"""What random labels prove of a threshold: recall and elusion with guarantees."""
