"""How many workers each stage gets, where they fit, and how fast the job is then."""
