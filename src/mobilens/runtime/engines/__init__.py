"""One small file for each inference engine."""
