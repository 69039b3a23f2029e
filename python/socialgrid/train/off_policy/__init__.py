"""Runs that learn from a memory."""
