"""Learning algorithms: losses and updates of independent, stacked agents."""

from socialgrid.faces import face

__getattr__, __all__ = face(__name__, __file__)
