"""What is meant by texts on the command line: files of compartments, keys, fields, surfaces."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atlasinit.errors import ArgumentError


def parse_names(names: Sequence[str] | None, argument: str) -> Any:
    """Return one name or file, several, or compartment to file; None where there are none."""
    if not names:
        return None
    if not all(name.strip() for name in names):
        raise ArgumentError(
            argument, "holds an empty name or file", "is a variable of the shell not set?"
        )
    # Of cortex_L=lh.annot. Words before the first = hold no slash or dot: a path such as
    # ./level=2/atlas.nii is one.
    stated = [re.fullmatch(r"(\w+)=(.+)", name) for name in names]
    # In a mixture cortex_L=lh.annot is taken for a path, which is then refused as no file.
    if not all(stated):
        return names[0] if len(names) == 1 else list(names)
    files: dict[str, list[str]] = {}
    for compartment, file in (pair.groups() for pair in stated if pair):
        files.setdefault(compartment, []).append(file)
    return {c: own[0] if len(own) == 1 else own for c, own in files.items()}


def parse_one_each(names: Sequence[str] | None, argument: str, *, sided: bool) -> Any:
    """Return what `parse_names` does, of an argument that takes one file for a compartment.

    Where they are `sided`, several files without one tell theirs by themselves.
    """
    found = parse_names(names, argument)
    if isinstance(found, list) and not sided:
        raise ArgumentError(argument, "takes one file, or one per compartment, as cortex_L=FILE")
    if isinstance(found, dict):
        for compartment, file in found.items():
            if isinstance(file, list):
                raise ArgumentError(argument, f"takes one file of {compartment}, got {len(file)}")
    return found


def parse_runs(names: Sequence[str], argument: str) -> list[Any]:
    """Return the files of each run: one, two hemispheres, or compartment to file.

    A file of a compartment, or by its name of a side, that the run has already begins the next
    one; so does each that states none.
    """
    from atlasinit.io.bids.names import side_of

    found = parse_names(names, argument)
    if isinstance(found, dict):
        files = {c: own if isinstance(own, list) else [own] for c, own in found.items()}
        counts = {c: len(own) for c, own in files.items()}
        if len(set(counts.values())) > 1:
            raise ArgumentError(
                argument, f"should have a file of every compartment for each run, got {counts}"
            )
        # From the files of each compartment to those of each run.
        return [dict(zip(files, own, strict=True)) for own in zip(*files.values(), strict=True)]
    runs: list[dict[str, str]] = []
    for name in [found] if isinstance(found, str) else found or ():
        side = side_of(name)
        # A file that states no side has "" for one, and is a run by itself.
        if not runs or not side or not all(runs[-1]) or side in runs[-1]:
            runs.append({})
        runs[-1][side] = name
    return [tuple(run.values()) for run in runs]


def read_numbers(path: Path, argument: str) -> list[int]:
    """Return the whole numbers that a text file holds, apart by blanks, commas or lines."""
    from atlasinit.io.files import reading

    with reading(path, "a text") as existing:
        words = existing.read_text(encoding="utf-8").replace(",", " ").split()
    if not words or not all(re.fullmatch(r"\d+", word) for word in words):
        raise ArgumentError(argument, f"should be a text of whole numbers from 0, got {path}")
    return [int(word) for word in words]


def parse_pairs(texts: Sequence[str] | None, argument: str, *, mark: str = "=") -> dict[str, str]:
    """Return key to value of texts KEY=VALUE, which `argument` was given; `mark` is their ``=``."""
    # The first = parts them, as a value may hold more: License=CC BY = 4.0.
    parts = {text.replace(mark, "="): text.partition(mark) for text in texts or ()}
    for text, (name, found, value) in parts.items():
        if not (name and found and value):
            raise ArgumentError(argument, f"should be KEY=VALUE, got {text!r}")
    names = [name for name, _, _ in parts.values()]
    if len(set(names)) < len(names):
        raise ArgumentError(argument, f"states a key more than once: {' '.join(parts)}")
    return {name: value for name, _, value in parts.values()}


def parse_value(text: str) -> Any:
    """Return a number, truth or list that is written as in JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse_key(text: str) -> str | int:
    """Return a whole number, or the text itself."""
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def read_meshes(files: Mapping[str, Sequence[Path]]) -> dict[str, dict[str, Any]] | None:
    """Return compartment to surfaces; each file tells its side by itself or by its name."""
    from atlasinit.io.contents import COMPARTMENTS
    from atlasinit.io.formats.hemispheres import compartment_of
    from atlasinit.io.input import Input
    from atlasinit.io.overlay.surfaces import read_surface

    found: dict[str, dict[str, Any]] = {}
    for role, paths in files.items():
        for path in paths:
            surface = read_surface(path)
            side = compartment_of(
                Input(path), None, stated=COMPARTMENTS.get(surface.hemisphere, "")
            )
            found.setdefault(side, {})[role] = surface
    return found or None
