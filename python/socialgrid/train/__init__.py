"""Runs that go on: one loop, checkpoints, worlds, and who plays where nobody learns."""

from socialgrid.faces import face

__getattr__, __all__ = face(__name__, __file__)
