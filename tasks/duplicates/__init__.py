"""Near-duplicates: candidates, survivors, and how many pairs were missed."""
