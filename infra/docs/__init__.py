"""The documentation's reference, made from the code: each module returns one page's Markdown."""
