"""Learners from fresh batches."""
