"""Smaller numbers for the same answers: what is 8-bit, on which grids, and how little it costs."""
