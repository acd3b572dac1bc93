"""Ships an experiment."""
