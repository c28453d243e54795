"""A folder to copy to another machine, which measures there and brings back one JSON."""
