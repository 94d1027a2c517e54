"""Faces of a collection to persons: who belongs together, and what all photos of a person show of them."""
