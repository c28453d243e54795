"""A checkpoint becomes a bundle; no file leaves without its proof."""
