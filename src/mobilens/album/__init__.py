"""An album: photos by their vectors. Which are like this one, which belong together."""
