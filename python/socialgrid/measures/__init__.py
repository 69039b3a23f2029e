"""What became of a group, in plain numbers."""
