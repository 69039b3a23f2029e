"""What there is because there are others: mechanisms, their options, and advice."""

from socialgrid.faces import face

__getattr__, __all__ = face(__name__, __file__)
