"""Checkpoint to smaller checkpoint."""
