"""Storage of experience, and the estimators computed from it."""

from socialgrid.faces import face

__getattr__, __all__ = face(__name__, __file__)
