"""What people read: the report, the card, the terminal."""
