"""A spec becomes a torch module."""
