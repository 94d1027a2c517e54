"""Photographed people whose heads are no face model's: a model of scans, dressed with skin, eyes and hair."""
