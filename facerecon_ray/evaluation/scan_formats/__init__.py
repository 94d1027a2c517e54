"""Readers of mesh files, a format each: path to parts, and what could not be read of their colours."""
