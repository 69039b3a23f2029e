"""Networks of independent agents, stacked on a leading agent axis."""

from socialgrid.models.config import ModelConfig
from socialgrid.models.spec import ViewSpec

__all__ = ["ModelConfig", "ViewSpec"]
