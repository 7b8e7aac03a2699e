"""Damaged files for every reader: none may crash, hang, or raise anything but an error of ours.

The long run, whose findings are printed with the name and number that make them again::

    PYTHONPATH=tests:. python tests/fuzz/harness.py --number 1000000 --seed 1
"""

import argparse
import contextlib
import dataclasses
import gzip
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import nibabel as nb
import numpy as np
from helpers_surfaces import brain_atlas
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, ScalarAxis, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage

import atlasinit as ai
from atlasinit.errors import Explained
from atlasinit.io import open_data

SECONDS = 2.0
"""What an input may take, beside what the machine does meanwhile."""

KEYS = np.arange(60, dtype=np.int32) % 4
WEIGHTS = np.linspace(0, 0.75, 60, dtype=np.float32)
AFFINE = np.diag([2.0, 2, 3, 1])
TABLES = {
    "x.tsv": "index\tname\tcolor\n1\tA a\t#ff0000\n2\tB\t#00ff00\n3\tC\t#0000ff\n",
    "x.csv": "key,name,red,green,blue\n1,A,255,0,0\n2,B,0,255,0\n3,C,0,0,255\n",
    "x.lut": "1 0.5 0.1 0.2 A\n2 0.1 0.4 0.4 B\n3 1 0 0 C\n",
    "x.txt": "0 Unknown 0 0 0 0\n1 A 25 5 25 0\n2 B 120 18 134 0\n3 C 1 2 3 0\n",
    "x.json": json.dumps(
        {"1": {"name": "A", "color": "#ff0000"}, "2": {"name": "B"}, "3": {"name": "C"}}
    ),
    "x.xml": "<atlas><data><label index='0'>A</label><label index='1'>B</label>"
    "<label index='2'>C</label></data></atlas>",
}


@dataclasses.dataclass(frozen=True)
class Seed:
    """A file without damage, and what is done with it."""

    name: str
    content: bytes
    use: Callable[[Path], object]


def _load(path: Path) -> object:
    atlas = ai.load_atlas(path, space="fsLR")
    return atlas.labels, repr(atlas), {c: m.totals() for c, m in atlas.maps.items()}


def _data_of(atlas: ai.Atlas) -> Callable[[Path], object]:
    return lambda path: open_data(path, atlas).all()


def _gifti(values: np.ndarray, intent: str, encoding: str) -> bytes:
    array = GiftiDataArray(values, intent=intent, datatype=str(values.dtype), encoding=encoding)
    image = GiftiImage(darrays=[array])
    image.meta["AnatomicalStructurePrimary"] = "CortexLeft"
    return image.to_bytes()


def _cifti(values: np.ndarray, axis: LabelAxis | ScalarAxis | SeriesAxis) -> bytes:
    brain = BrainModelAxis.from_surface(range(60), 60, "CIFTI_STRUCTURE_CORTEX_LEFT")
    return Cifti2Image(np.atleast_2d(values).astype(np.float32), header=(axis, brain)).to_bytes()


def _saved(save: Callable[[Path], object], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def _foreign() -> Iterator[tuple[str, bytes]]:
    """Yield files as other programs write them."""
    volume = nb.Nifti1Image(KEYS.reshape(5, 4, 3).astype(np.int16), AFFINE).to_bytes()
    mgh = nb.MGHImage(KEYS.reshape(5, 4, 3), AFFINE.astype(np.float32)).to_bytes()
    yield from (("x.nii", volume), ("x.nii.gz", gzip.compress(volume)))
    yield from (("x.mgh", mgh), ("x.mgz", gzip.compress(mgh)))
    for encoding in ("ASCII", "B64BIN", "B64GZ"):
        yield f"x{encoding}.label.gii", _gifti(KEYS, "NIFTI_INTENT_LABEL", encoding)
        yield f"x{encoding}.func.gii", _gifti(WEIGHTS, "NIFTI_INTENT_NONE", encoding)
    names = {i: (f"p{i}", (i / 4, 0.2, 0.3, 1.0)) for i in range(4)}
    yield "x.dlabel.nii", _cifti(KEYS, LabelAxis(["x"], [names]))
    yield "x.dscalar.nii", _cifti(WEIGHTS, ScalarAxis(["x"]))
    yield "x.dtseries.nii", _cifti(WEIGHTS, SeriesAxis(0, 1, 1))
    table = np.array([[0, 0, 0, 0], *([60 * i, 20, 30, 0] for i in range(1, 4))])
    names = ["unknown", "p1", "p2", "p3"]
    savers: dict[str, Callable[[Path], object]] = {
        "lh.x.annot": lambda path: nb.freesurfer.write_annot(path, KEYS, table, names),
        "lh.thickness": lambda path: nb.freesurfer.write_morph_data(path, WEIGHTS),
        "lh.x.csv": lambda path: np.savetxt(path, KEYS, fmt="%d"),
        "lh.x.npy": lambda path: np.save(path, KEYS),
        "lh.x.npz": lambda path: np.savez_compressed(path, x=KEYS),
    }
    for name, save in savers.items():
        yield name, _saved(save, name)


def _own() -> Iterator[tuple[str, bytes]]:
    """Yield files as atlasinit writes them."""
    whole = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49])
    left, volume = whole.select(compartments="cortex_L"), whole.select(compartments="subcortex")
    for name, atlas in (
        ("x.npz", whole),
        ("x.safetensors", whole),
        ("x.scipy.npz", whole),
        ("x.weight.safetensors", whole),
        ("x.dscalar.nii", whole),
        ("x.dlabel.nii", whole.harden()),
        ("x.nii", volume),
        ("x.func.gii", left),
        ("x.label.gii", left.harden()),
    ):
        yield f"own.{name}", _saved(lambda path, atlas=atlas: ai.save_atlas(atlas, path), name)


def seeds() -> list[Seed]:
    """Return a file of every format, own and foreign, as atlas, data, mask and table."""
    surface = ai.load_atlas({"cortex_L": KEYS}, space="fsLR")
    image = nb.Nifti1Image(KEYS.reshape(5, 4, 3).astype(np.int16), AFFINE)
    grid = ai.load_atlas(image, space="fsLR")
    found = [Seed(name, content, _load) for name, content in (*_foreign(), *_own())]
    for name, content in _foreign():
        labelled = ".label." in name or ".dlabel." in name  # which are no data
        if (
            name.endswith((".nii", ".nii.gz", ".mgh", ".mgz", ".gii", ".thickness"))
            and not labelled
        ):
            own = grid if name in ("x.nii", "x.nii.gz", "x.mgh", "x.mgz") else surface
            found.append(Seed(name, content, _data_of(own)))
    for name, text in TABLES.items():
        use = lambda path: ai.load_atlas(image, space="x", labels=path)  # noqa: E731
        found.append(Seed(name, text.encode(), use))
    lines = "".join(f"{v}  1.0  2.0  3.0 0.0\n" for v in range(9))
    vertices = f"#!ascii label\n9\n{lines}".encode()
    masked = lambda path: ai.load_atlas({"cortex_L": KEYS}, space="x", mask={"cortex_L": path})  # noqa: E731
    found.append(Seed("lh.m.label", vertices, masked))
    return [*found, *_surfaces(), *_descriptions()]


def _surfaces() -> Iterator[Seed]:
    """Yield meshes to lay under labels."""
    points = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32) * 50
    faces = np.random.default_rng(1).integers(0, 60, (100, 3)).astype(np.int32)
    arrays = [
        GiftiDataArray(values, intent=f"NIFTI_INTENT_{intent}", datatype=str(values.dtype))
        for intent, values in (("POINTSET", points), ("TRIANGLE", faces))
    ]

    def lay(path: Path) -> object:
        given = {"cortex_L": {"sphere": path}}
        return ai.load_atlas({"cortex_L": KEYS}, space="x", meshes=given).geometry

    yield Seed("lh.sphere.surf.gii", GiftiImage(darrays=arrays).to_bytes(), lay)
    written = _saved(lambda path: nb.freesurfer.write_geometry(path, points, faces), "lh.sphere")
    yield Seed("lh.sphere", written, lay)


def _descriptions() -> Iterator[Seed]:
    """Yield the texts that lie beside an image in a dataset."""
    image = nb.Nifti1Image(KEYS.reshape(5, 4, 3).astype(np.int16), AFFINE)
    texts = {
        "dataset_description.json": {"Name": "x", "BIDSVersion": "1.11.0", "License": "CC0"},
        "tpl-x_atlas-y_dseg.json": {"Name": "x", "License": "CC0", "ReferencesAndLinks": ["a"]},
    }

    def load(path: Path) -> object:
        nb.save(image, path.with_name("tpl-x_atlas-y_dseg.nii.gz"))
        path.with_name("tpl-x_atlas-y_dseg.tsv").write_text(TABLES["x.tsv"])
        return ai.load_atlas(path.parent), ai.load_atlas(
            path.with_name("tpl-x_atlas-y_dseg.nii.gz")
        )

    for name, fields in texts.items():
        yield Seed(name, json.dumps(fields).encode(), load)


# Damage


def _flip(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 4, 16))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def _remove(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    del content[start : start + rng.choice((1, 2, 4, 30))]


def _repeat(content: bytearray, rng: random.Random) -> None:
    start, size = rng.randrange(len(content)), rng.choice((1, 4, 60))
    content[start:start] = content[start : start + size] * rng.choice((1, 2, 50))


def _number(content: bytearray, rng: random.Random) -> None:
    """Put a number that is odd in binary in the place of four or eight bytes."""
    size = rng.choice((2, 4, 8))
    value = rng.choice((0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1))
    stored = (value % 2 ** (8 * size)).to_bytes(size, rng.choice(("little", "big")))
    start = rng.randrange(min(len(content), rng.choice((64, 600, 10**9))))
    content[start : start + size] = stored


_ODD = "0 -1 1e300 nan inf 2147483648 99999999999999999999 1_0 0x1 '' é \ud7ff [ { 1e-320".split()


def _text(content: bytearray, rng: random.Random) -> None:
    """Put an odd number in the place of one in text, such as XML or JSON."""
    numbers = list(re.finditer(rb"-?[0-9]+(\.[0-9]+)?", content))
    if numbers:
        found = rng.choice(numbers)
        content[found.start() : found.end()] = rng.choice(_ODD).encode()


def _word(content: bytearray, rng: random.Random) -> None:
    """Take away, double or empty a word of text."""
    words = list(re.finditer(rb"[A-Za-z]{3,}|\"[^\"]*\"|<[^>]*>", content))
    if words:
        found = rng.choice(words)
        content[found.start() : found.end()] = rng.choice((b"", 2 * found[0], b'""', b"\xff"))


DAMAGES = (_flip, _flip, _cut, _remove, _repeat, _number, _number, _text, _text, _word)


def damage(seed: Seed, number: int) -> bytes:
    """Return the content of a seed with the damage of a number, the same each time."""
    rng = random.Random(f"{seed.name} {number}")
    unpacked = seed.name.endswith((".gz", ".mgz")) and rng.random() < 0.7
    content = bytearray(gzip.decompress(seed.content) if unpacked else seed.content)
    for _ in range(rng.choice((1, 1, 2))):
        if content:
            rng.choice(DAMAGES)(content, rng)
    return gzip.compress(content) if unpacked else bytes(content)


class TooLong(BaseException):
    """An input took longer than it may."""


def _peak() -> int:
    """Return the most memory that this process had since its peak was last begun, in KiB."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+)", status, re.MULTILINE).group(1))  # pyright: ignore
    except OSError:  # no Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _begin_peak() -> int:
    """Count the peak from now on: what was taken before, and given back, would hide what is taken.

    https://docs.kernel.org/filesystems/proc.html, of clear_refs.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _stop(number: int, frame: FrameType | None) -> None:
    raise TooLong(f"after {SECONDS} s")


def find_fault(seed: Seed, number: int, folder: Path) -> str:
    """Return what is wrong with how an input is taken, "" where nothing is."""
    path = folder / seed.name
    path.write_bytes(damage(seed, number))
    before = _begin_peak()
    signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            seed.use(path)
    except Explained:
        pass
    except (Exception, TooLong):
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    taken = _peak() - before
    return f"took {taken >> 10} MiB" if taken > 2**18 else ""


def main() -> int:
    """Run many inputs and print each fault once, by the place that it is raised at."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found: dict[str, int] = {}
    kinds, started = seeds(), time.monotonic()
    # What a compiled reader may take, so that the machine stays usable.
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    with tempfile.TemporaryDirectory() as folder:
        for i in range(options.number):
            seed = kinds[i % len(kinds)]
            number = options.seed * 10**9 + i // len(kinds)
            Path(folder, "now").write_text(f"{seed.name} {number}")  # what a crash was made by
            if fault := find_fault(seed, number, Path(folder)):
                where = "\n".join(fault.strip().splitlines()[-3:])
                found[where] = found.get(where, 0) + 1
                if found[where] == 1:
                    print(f"--- {seed.name} {number}\n{fault[-1500:]}", flush=True)
    rate = options.number / (time.monotonic() - started)
    print(f"{options.number} inputs, {rate:.0f} a second, {len(found)} faults", found)
    return len(found)


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.exit(main())
