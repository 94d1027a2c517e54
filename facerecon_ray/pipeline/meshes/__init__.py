"""Meshes of faces that a job has found, copied or made when they are asked for."""
