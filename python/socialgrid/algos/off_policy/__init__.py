"""Learners from a memory."""
