"""Storage of experience, and the estimators computed from it."""
