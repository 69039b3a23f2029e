"""Networks of independent agents, stacked on a leading agent axis."""

from socialgrid.faces import face

__getattr__, __all__ = face(__name__, __file__)
