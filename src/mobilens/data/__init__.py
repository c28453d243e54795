"""Files on disk become samples."""
