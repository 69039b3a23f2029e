"""What became of a group, in plain numbers."""

from socialgrid.faces import face

__getattr__, __all__ = face(__name__, __file__)
