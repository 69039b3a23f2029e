"""Runs that learn from fresh batches."""
