"""One file for each way in which labels lie on disk."""
