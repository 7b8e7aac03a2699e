"""What is installed, what the machine has, what is on its disk, and what would help."""

import dataclasses
import importlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_PATIENCE = 3.0
"""Seconds after which a host counts as out of reach; all are asked at once."""

_PARTS = ("loading", "nn", "masker", "figures")
"""Modules that between them import every dependency."""


@dataclasses.dataclass(frozen=True)
class Section:
    """One subject of the diagnosis.

    Parameters
    ----------
    title
        Its name, one word.
    facts
        Name to plain data.
    broken
        Sentences on what cannot work as it is.
    advice
        Sentences on what would help.
    """

    title: str
    facts: Mapping[str, Any]
    broken: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


def diagnose(*, offline: bool = False) -> list[Section]:
    """Return what can be found out of this installation and machine.

    Parameters
    ----------
    offline
        Do not ask whether the network is there.
    """
    sections = [_versions(), _devices(), _storage(), _atlases()]
    return sections if offline else [*sections, _network()]


def _versions() -> Section:
    from packaging.requirements import Requirement

    from atlasinit.support.version import __version__

    facts: dict[str, str] = {
        "atlasinit": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    broken, advice = [], []
    try:
        stated = [Requirement(text) for text in importlib.metadata.requires("atlasinit") or []]
    except importlib.metadata.PackageNotFoundError:
        stated = []
        advice.append("atlasinit is not installed but found beside: run `pip install atlasinit`.")
    for requirement in stated:
        found = _version(requirement.name)
        # Those of extras have a marker, as `extra == "test"`.
        needed = requirement.marker is None
        if found is None and needed:
            broken.append(f"{requirement} is missing: run `pip install '{requirement}'`.")
        # Whoever installed a release candidate, or JAX of last night, meant it.
        elif found is not None and not requirement.specifier.contains(found, prereleases=True):
            told = (
                f"{requirement} is asked for, {found} is here: run `pip install '{requirement}'`."
            )
            (broken if needed else advice).append(told)
        # Of the optional ones Flax alone is part of the interface, and so belongs into a report.
        if found is not None and (needed or requirement.name == "flax"):
            facts[requirement.name] = found
    for part in _PARTS:
        try:
            importlib.import_module(f"atlasinit.{part}")
        # Not ImportError alone: a compiled package may fail at its import in any way.
        except Exception as error:
            broken.append(f"atlasinit.{part} cannot be imported ({_describe_error(error)}).")
    facts["wb_command"] = shutil.which("wb_command") or "not found (optional)"
    return Section("versions", facts, tuple(dict.fromkeys(broken)), tuple(dict.fromkeys(advice)))


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> Section:
    facts: dict[str, Any] = {"cores": os.cpu_count(), "nvidia_gpu": has_nvidia_gpu()}
    try:
        import jax
        import jax.numpy as jnp

        devices = jax.devices()
        # A driver that does not fit shows only when something runs.
        total = float(jax.jit(jnp.sum)(jnp.ones(8)))
        facts["backend"] = jax.default_backend()
        facts["devices"] = [f"{d.device_kind} ({d.platform}:{d.id})" for d in devices]
        facts["x64"] = bool(jax.config.read("jax_enable_x64"))
    except Exception as error:
        broken = (f"JAX computes nothing here ({_describe_error(error)}).",)
        return Section("devices", facts, broken)
    broken = () if total == 8 else (f"JAX sums eight ones to {total}.",)
    advice = ()
    if facts["nvidia_gpu"] and facts["backend"] == "cpu":
        stated = os.environ.get("JAX_PLATFORMS")
        cure = f"JAX_PLATFORMS={stated} says so" if stated else "`pip install 'atlasinit[cuda]'`"
        advice = (f"There is an NVIDIA GPU, but JAX uses the CPU: {cure}.",)
    return Section("devices", facts, broken, advice)


def has_nvidia_gpu() -> bool:
    """Whether the machine has an NVIDIA GPU with its driver, asked without CUDA."""
    # The driver's own device file; under Windows' subsystem for Linux there is the program alone.
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None


def _storage() -> Section:
    from atlasinit.catalogue import cache_folder
    from atlasinit.catalogue.sources.registry import SOURCES
    from atlasinit.catalogue.transfer.cache import VARIABLE

    cache = cache_folder()
    # Environment variable to folders, of which the first is the one that files are fetched into.
    named = {VARIABLE: [cache]}
    named |= {s.variable: found for s in SOURCES.values() if (found := s.folders())}
    files = [path for path in cache.rglob("*") if path.is_file()]
    facts = {
        "cache": str(cache),
        "cache_bytes": sum(path.stat().st_size for path in files),
        "cache_writable": is_writable(cache),
        "free_bytes": shutil.disk_usage(_find_existing(cache)).free,
        **{s.via: [str(f) for f in found] for s in SOURCES.values() if (found := s.folders())},
    }
    advice = [
        f"{folder} cannot be written: what is in it can be used, but nothing fetched; "
        f"{variable} names another folder."
        for variable, (folder, *_) in named.items()
        if not is_writable(folder)
    ]
    return Section("storage", facts, advice=tuple(advice))


def is_writable(folder: Path) -> bool:
    """Whether a folder can be written, or made if it does not exist."""
    # To make files in a folder takes the right to enter it, too.
    existing = _find_existing(folder)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _find_existing(path: Path) -> Path:
    """Return a path or the nearest folder above it that exists."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _atlases() -> Section:
    from atlasinit.catalogue.entries import catalogue
    from atlasinit.catalogue.listing import list_rows
    from atlasinit.catalogue.sources.registry import SOURCES

    here = dict.fromkeys(row["name"] for row in list_rows() if row["offline"])
    absent = [name for source in SOURCES.values() for name in source.list_missing()]
    facts = {"listed": len(catalogue()), "here": list(here), "packages_to_fetch": absent}
    advice = (
        (f"`atlasinit fetch --all-offline` brings the atlases of {', '.join(absent)}.",)
        if absent
        else ()
    )
    return Section("atlases", facts, advice=advice)


def _network() -> Section:
    def reaches(address: str) -> bool:
        import requests

        try:
            # Any answer shows that the host is there, one of 404 too.
            requests.head(address, timeout=_PATIENCE)
        except requests.RequestException:
            return False
        return True

    from atlasinit.catalogue.sources.registry import SOURCES

    hosts = {name: at for source in SOURCES.values() for name, at in source.hosts.items()}
    facts = _map_at_once(reaches, hosts)
    away = [name for name, reached in facts.items() if not reached]
    advice = (
        f"{', '.join(away)}: out of reach. What is on this machine works; the rest can be "
        "fetched elsewhere and its cache copied (`atlasinit fetch --help`).",
    )
    return Section("network", facts, advice=advice if away else ())


def _map_at_once(function: Callable[[str], bool], named: Mapping[str, str]) -> dict[str, bool]:
    # A thread for each host: all answers are here after the longest wait, not after the sum.
    with ThreadPoolExecutor(len(named)) as pool:
        results: Iterable[bool] = pool.map(function, named.values())
        return dict(zip(named, results, strict=True))


def _describe_error(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
