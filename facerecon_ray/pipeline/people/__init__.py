"""People of a collection, on Ray."""
