"""What a synthetic subject looks like: skin, eyes, hair, and what it wears."""
