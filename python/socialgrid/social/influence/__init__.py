"""Influence on others as a reward."""
