"""Jobs sent to a cluster that runs elsewhere."""
