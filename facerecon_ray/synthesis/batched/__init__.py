"""Training pictures by the hundred in one call, as tensors on any device: the people of `facerecon synthesize`,
dressed on CPUs, photographed on a GPU."""
