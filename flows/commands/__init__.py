"""The commands, each a thin call of a flow or a question to the lake."""
