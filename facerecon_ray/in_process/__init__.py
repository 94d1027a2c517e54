"""Photos in this process, without Ray: what `facerecon_ray.reconstruct` does."""
