"""Training: typed configuration, the stream of samples, the Lightning module, checkpoints, the run, ablations."""
