"""What images and answers are: NumPy."""
