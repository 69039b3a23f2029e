"""Training runs: configuration, loop, evaluation, checkpoints, pictures, command line."""
