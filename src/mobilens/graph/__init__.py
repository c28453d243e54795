"""A net as a short list of operators: what every export writes, and what quantisation works on."""
