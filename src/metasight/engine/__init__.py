"""Engine: content-addressed step results, scheduling and progress."""
