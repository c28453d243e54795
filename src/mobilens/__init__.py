"""MobileNets, from your photos to your phone."""
