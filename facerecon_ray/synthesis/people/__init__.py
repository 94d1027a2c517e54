"""Who a synthetic subject is: the head, its expression, and where things are on it."""
