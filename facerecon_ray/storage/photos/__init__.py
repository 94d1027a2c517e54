"""Which photos a job has, and in which shards."""
