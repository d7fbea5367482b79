"""Random streams, the sampler of recoils, and how kernels are compiled."""
