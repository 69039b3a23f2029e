"""What a run tells, and what is drawn of it."""
