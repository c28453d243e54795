"""Head, targets and loss, one file a task."""
