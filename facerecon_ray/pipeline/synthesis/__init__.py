"""The job that makes training data."""
