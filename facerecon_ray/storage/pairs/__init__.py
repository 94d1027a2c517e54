"""Training pairs on disk: rows, shards, and the card of a data set."""
