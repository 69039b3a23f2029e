"""Named configurations: overrides in files, of each other or of the defaults.

Nothing here needs torch.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from socialgrid.algos.options import ALGORITHMS, PPOConfig
from socialgrid.config.errors import UsageError, nearest, told
from socialgrid.config.maps import with_map_rows
from socialgrid.config.overrides import algorithm_name, mechanism_options, merged, to_dict
from socialgrid.config.reading import from_dict
from socialgrid.config.run_files import file_meant, read_preset, user_path, without_integrity
from socialgrid.config.schema import TrainConfig
from socialgrid.social.roles import MECHANISMS, Auxiliary, Chosen, Social


@dataclass(frozen=True)
class Layer:
    """What one preset says by itself.

    Attributes:
        options: overrides, as ``from_dict`` takes them.
        variants: further overrides by the name of what has to be chosen for them to count: a
            social mechanism, an algorithm, or a name of the preset's own.
        reproduces: the publication whose experiment it is; empty if none.
        deviations: where it is not as published, and why: by option (``section.field``, with
            ``variant: `` before it where it is one of a variant) or by what differs otherwise.
    """

    options: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Any]]
    reproduces: str = ""
    deviations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Preset:
    """A named configuration.

    Attributes:
        name: what it is called on the command line and in the name of the run directory.
        description: one line.
        config: the resolved configuration.
        layers: the presets that it is made of, the most basic one first.
    """

    name: str
    description: str
    config: TrainConfig
    layers: tuple[Layer, ...] = ()

    def variants(self) -> list[str]:
        """Names of all variants."""
        return sorted({name for layer in self.layers for name in layer.variants})

    @property
    def reproduces(self) -> str:
        """The publication whose experiment it is; empty if it is nobody's."""
        return self.layers[-1].reproduces if self.layers else ""

    def deviations(self) -> dict[str, str]:
        """Where it is not as published, and why; those of its bases count, unless set to ""."""
        if not self.reproduces:
            return {}
        found: dict[str, str] = {}
        for layer in self.layers:
            found |= layer.deviations
        return {name: reason for name, reason in found.items() if reason}

    def combination(self, names: Sequence[str], config: TrainConfig) -> str:
        """Which values count where several mechanisms are combined; empty for fewer than two.

        Args:
            names: of mechanisms or variants, as given to ``choose``.
            config: the configuration in force, with further options or without.
        """
        if len(names) < 2:
            return ""
        algorithm = config.algorithm.name
        owners: dict[str, str] = {}  # who has the last word, as in ``choose``; "": none of them
        declared = PPOConfig.name
        for layer in self.layers:
            declared = _entry(layer.options, "algorithm", "name", declared)
            own = layer.variants.get(algorithm, {})
            several = [(name, layer.variants.get(name, {})) for name in names]
            for name, table in [("", layer.options), ("", own), *several]:
                for option in _leaves(table):
                    counts = declared == algorithm or table is own
                    if counts or not option.startswith("algorithm."):
                        owners[option] = name
        chosen, in_force = to_dict(self.choose(algorithm, names)), to_dict(config)
        by_owner: dict[str, list[str]] = {}
        for option, name in sorted(owners.items()):
            value = _at(in_force, option)
            if name and value is not None and value == _at(chosen, option):
                by_owner.setdefault(name, []).append(f"{option} {value}")
        mechanisms = {one for name in names for one in _mechanisms(name, self.layers)}
        tuned = [
            variant
            for variant in self.variants()
            if variant not in names and variant not in (*MECHANISMS, *ALGORITHMS)
            and set(_mechanisms(variant, self.layers)) == mechanisms
        ]  # fmt: skip
        text = "; ".join(f"{', '.join(values)} from {who}" for who, values in by_owner.items())
        hint = f"; tuned together: --social {' or '.join(tuned)}" if tuned else ""
        return (
            f"social {','.join(names)}: values tuned for single mechanisms, not for this "
            f"combination: {text or 'none; the defaults count'}{hint}"
        )

    def choose(
        self,
        algorithm: str | None = None,
        social: Sequence[str] | None = None,
        aux: Sequence[str] | None = None,
    ) -> TrainConfig:
        """The configuration with another algorithm or other mechanisms.

        Layer by layer, the options count first and then those variants that have been chosen.
        Options of an algorithm count only where that algorithm is the one chosen.

        Args:
            algorithm: one of ``ALGORITHMS``; the preset's own by default.
            social: social mechanisms, or variants that stand for some (``moa-baseline``); the
                preset's own by default.
            aux: auxiliary losses; the preset's own by default.

        Raises:
            UsageError: there is no such algorithm or mechanism, or some exclude each other.
        """
        layers = self.layers or (Layer(to_dict(self.config), {}),)
        chosen = algorithm_name(
            _last(layers, "algorithm", "name", PPOConfig.name) if algorithm is None else algorithm
        )
        own: dict[str, Any] = {}
        for layer in layers:
            own = merged(own, {"social": layer.options.get("social", {})})
        names = list(_standing(own, "social")) if social is None else [str(name) for name in social]
        data: dict[str, Any] = {}
        declared = PPOConfig.name
        for layer in layers:
            declared = _entry(layer.options, "algorithm", "name", declared)
            tables = [layer.options, *(layer.variants[n] for n in names if n in layer.variants)]
            if declared != chosen:
                tables = [{k: v for k, v in table.items() if k != "algorithm"} for table in tables]
            if chosen in layer.variants:
                tables.insert(1, layer.variants[chosen])
            for table in tables:
                data = merged(data, table)
        mechanisms = [one for name in names for one in _mechanisms(name, layers)]
        wanted = list(_standing(data, "aux")) if aux is None else [str(name) for name in aux]
        for section, kind, standing in (("social", Social, mechanisms), ("aux", Auxiliary, wanted)):
            _check_names(standing, kind, section)
            tables_of = data.get(section, {})
            data[section] = {
                name: tables_of[name] if isinstance(tables_of.get(name), Mapping) else {}
                for name in standing
            }
        phases = data.get("phases", {})
        data["phases"] = {name: _of_chosen(name, phase, data) for name, phase in phases.items()}
        data = merged(data, {"algorithm": {"name": chosen}})
        return from_dict(data, TrainConfig(algorithm=ALGORITHMS[chosen]()))


def _of_chosen(name: str, phase: Any, chosen: Mapping[str, Any]) -> Any:
    """A phase with what it says of mechanisms that are chosen, and of no others; the phase itself
    stays whole: what is not chosen now may be chosen later.

    Raises:
        UsageError: there is no such mechanism.
    """
    if not isinstance(phase, Mapping):
        return phase  # whoever reads it says what is wrong
    found = dict(phase)
    for section, kind in (("social", Social), ("aux", Auxiliary)):
        table = phase.get(section)
        if isinstance(table, Mapping):
            _check_names(list(table), kind, f"phases.{name}.{section}")
            found[section] = {k: v for k, v in table.items() if k in chosen[section]}
    return found


def _check_names(names: Sequence[str], kind: type[Chosen], section: str) -> None:
    for name in names:
        mechanism_options(name, kind, section)


def _standing(table: Mapping[str, Any], section: str) -> list[str]:
    """Mechanisms that a table of overrides chooses in a section.

    Raises:
        UsageError: it is no table of mechanisms.
    """
    chosen = table.get(section, {})
    if not isinstance(chosen, Mapping):
        raise UsageError(f"{section}: {chosen!r} is not a table of mechanisms")
    return [str(name) for name, own in chosen.items() if own not in (None, False, "none")]


def _mechanisms(name: str, layers: Sequence[Layer]) -> list[str]:
    """What a name given as a social mechanism stands for: itself, or what its variant has."""
    found = [name] if name in Social.all() else []
    variants: list[str] = []
    for layer in layers:
        for variant, table in layer.variants.items():
            standing = _standing(table, "social")
            variants += [variant] if standing else []
            found += standing if variant == name else []
    if not found:
        mechanism_options(name, Social, "social", list(dict.fromkeys(variants)))
    return list(dict.fromkeys(found))


def _leaves(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    """``section.field`` of everything in a table of overrides."""
    found = []
    for key, value in table.items():
        inner = _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [prefix + key]
        found += inner
    return found


def _at(table: Mapping[str, Any], path: str) -> Any:
    """What nested tables hold at ``section.field``; ``None`` where there is no such thing."""
    found: Any = table
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _last(layers: Sequence[Layer], section: str, name: str, default: Any) -> Any:
    """What the last layer that says anything of an option says."""
    for layer in layers:
        default = _entry(layer.options, section, name, default)
    return default


def _entry(options: Mapping[str, Any], section: str, name: str, default: Any) -> Any:
    table = options.get(section)
    return table.get(name, default) if isinstance(table, Mapping) else default


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    folder = importlib.resources.files("socialgrid") / "experiments"
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def _files_like(name: str) -> list[str]:
    """The file of one's own that a name without its suffix may mean."""
    return [f"{name}.toml"] if os.path.isfile(user_path(f"{name}.toml")) else []


def load_preset(name: str, _seen: tuple[str, ...] = ()) -> Preset:
    """Read a preset of the package, or a file of one's own (``.toml``, or a run's ``.json``).

    A preset holds overrides only: of another preset named by ``base``, or of the defaults. Its
    ``variants`` are tables of further overrides, ``[variants.moa.social.moa]`` and so on: see
    ``Preset.choose``. ``reproduces`` names a publication, ``deviations`` what differs from it.

    Raises:
        UsageError: no such preset, a file that cannot be read, or a bad option in it.
    """
    if name in _seen:
        raise UsageError(f"preset {name}: its chain of bases returns to itself")
    folder = Path()
    if name.endswith((".toml", ".json")):
        path = user_path(name)
        folder = path.parent
        try:
            if not path.is_file():
                raise UsageError(f"{name}: no such file{file_meant(path)}")
            text = read_preset(path)
        except OSError as error:
            raise UsageError(told(error, name)) from None
        except UnicodeDecodeError as error:
            raise UsageError(f"{name}: {error}") from None
        title = path.parent.name if path.name == "config.json" else path.stem
    elif name in preset_names():
        entry = importlib.resources.files("socialgrid") / "experiments" / f"{name}.toml"
        text, title = entry.read_text(encoding="utf-8"), name
    else:
        raise UsageError(
            f"unknown preset {name!r}{nearest(name, [*preset_names(), *_files_like(name)])}; "
            "socialgrid-train --list shows all"
        )
    try:
        data = json.loads(text) if name.endswith(".json") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{name}: not a table of options")
    data = without_integrity(data)
    base_name, description = data.pop("base", None), data.pop("description", "")
    if not isinstance(description, str) or not isinstance(base_name, str | None):
        raise UsageError(f"{name}: base and description must be text")
    base = load_preset(base_name, (*_seen, name)).layers if base_name else ()
    try:
        layers = (*base, _layer(with_map_rows(data, folder)))
        bare = Preset(title, description, TrainConfig(), layers)
        for variant in layers[-1].variants:
            if variant in ALGORITHMS:
                bare.choose(algorithm=variant)
            else:
                bare.choose(social=[variant])
        return dataclasses.replace(bare, config=bare.choose())
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _layer(data: dict[str, Any]) -> Layer:
    variants = data.pop("variants", {})
    reproduces, deviations = data.pop("reproduces", ""), data.pop("deviations", {})
    if not isinstance(reproduces, str):
        raise UsageError(f"reproduces: {reproduces!r} is not text")
    if not isinstance(deviations, dict) or not all(isinstance(v, str) for v in deviations.values()):
        raise UsageError('deviations: must be a table of reasons, as in "algorithm.gamma" = "..."')
    if not isinstance(variants, dict) or not all(isinstance(v, dict) for v in variants.values()):
        raise UsageError("variants: must hold tables of options, as in [variants.moa.social.moa]")
    for section, table in data.items():
        if not isinstance(table, Mapping):
            raise UsageError(f"{section}: {table!r} is not a table")
    return Layer(data, variants, reproduces, deviations)
