"""What a run is, in words."""
