"""What to install, said below the error of an import that lacks it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_BRINGS = {
    "train": ("torch", "tyro", "rich", "tensorboard", "safetensors"),
    "pettingzoo": ("pettingzoo",),
    "sb3": ("stable_baselines3",),
}


@contextmanager
def naming_the_extra() -> Iterator[None]:
    """Note below a ModuleNotFoundError of an optional package which extra brings that one."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        for extra, packages in _BRINGS.items():
            note = f'pip install "socialgrid[{extra}]" brings {package}'
            if package in packages and note not in getattr(error, "__notes__", ()):
                error.add_note(note)
        raise
