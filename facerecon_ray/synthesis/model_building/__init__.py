"""How the embedded face model is made from sampled heads."""
