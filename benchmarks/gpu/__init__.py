"""The phases of `gpu_check.py`."""
