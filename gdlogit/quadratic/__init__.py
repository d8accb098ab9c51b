"""Local models of J, and how they are solved."""
