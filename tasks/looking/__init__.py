"""Near-duplicates as people see them: a threshold chosen by looking, templates."""
