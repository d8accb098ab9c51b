"""The loop of descent, and the methods that it steps."""
