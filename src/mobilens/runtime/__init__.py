"""A bundle becomes predictions, without torch."""
