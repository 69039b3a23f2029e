"""What a run's numbers depend on beside its configuration, as a machine resolved it.

``resolved.json`` lies beside ``config.json``, outside its checksum: a run may go on elsewhere, and
then it says what is different there.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from socialgrid._core import usable_cores
from socialgrid.config import TrainConfig, run_files
from socialgrid.config.errors import about, told

RESOLVED = "resolved.json"
_PACKAGES = ("socialgrid", "torch", "numpy", "gymnasium")
_WITHOUT_EFFECT = ("threads", "simulator threads", "usable cores", "python")  # on any number
_MOST_SESSIONS = 100


def resolve(config: TrainConfig, threads: int, processes: int = 1) -> dict[str, Any]:
    """What holds here and now.

    Args:
        config: of the run; its device must be there.
        threads: in each process that computes.
        processes: that train the run together.
    """
    names = [*_PACKAGES, *(["mujoco"] if config.env.gymnasium_id else [])]
    device = _device(config.run.device)
    found: dict[str, Any] = {name: _installed(name) for name in names}
    found |= {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "instruction set": torch.backends.cpu.get_cpu_capability(),
        "device": device,
        "precision": config.run.precision,
        "processes": processes,
        "threads": threads,
        "simulator threads": config.env.num_threads or usable_cores(),
        "usable cores": usable_cores(),
    }
    if device != "cpu":
        found["cuda"] = torch.version.cuda
    return found


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device(name: str) -> str:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        name = "mps" if name == "cpu" and torch.backends.mps.is_available() else name
    return torch.cuda.get_device_name() if name == "cuda" else name


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is different, and whether bits can be the same; empty where nothing is."""
    found = [name for name in now if name in before and before[name] != now[name]]
    if "processes" in found and now.get("device") == "cpu" and now.get("precision") != "bf16":
        found.remove("processes")  # whoever goes on in others knows, and gets the same bits
    if not found:
        return ""
    listed = ", ".join(f"{name} {now[name]} (was {before[name]})" for name in found)
    same = set(found) <= set(_WITHOUT_EFFECT)
    return f"resumed elsewhere: {listed}: " + (
        "the bits stay the same"
        if same
        else "the bits can differ from those of a run that never moved"
    )


def record(run_dir: Path, now: Mapping[str, Any], *, begin: bool) -> list[str]:
    """Write down what holds now, after what held in earlier sessions.

    Args:
        run_dir: of the run.
        now: as ``resolve`` found it.
        begin: the run begins.

    Returns:
        what has to be told the user.

    Raises:
        OSError: the file cannot be written.
    """
    path, messages = run_dir / RESOLVED, list[str]()
    sessions: list[Any] = []
    if not begin:
        try:
            sessions = _read(path)
        except FileNotFoundError:
            messages.append(f"{path} is gone: nobody can say whether the run was moved")
        except OSError as error:
            messages.append(told(error, path))
        except (ValueError, RecursionError) as error:
            messages.append(about(str(path), error))
    if sessions and (said := differences(sessions[-1], now)):
        messages.append(said)
    if not sessions or sessions[-1] != now:
        sessions = [*sessions, now][-_MOST_SESSIONS:]
        text = json.dumps({"sessions": sessions}, indent=1)
        run_files.write_whole(path, f"{text}\n".encode())
    return messages


def _read(path: Path) -> list[Any]:
    data = json.loads(run_files.read_bytes(path, run_files.MAX_JSON))
    sessions = data.get("sessions") if isinstance(data, dict) else None
    if not isinstance(sessions, list) or not all(isinstance(one, dict) for one in sessions):
        raise ValueError("not a list of sessions")
    return sessions
