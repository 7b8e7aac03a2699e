"""What a source of atlases is; a new one is a module with a `Source` and its line in `SOURCES`."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from atlasinit.catalogue.entries import Variant


@dataclasses.dataclass(frozen=True, eq=False)
class Obtained:
    """The files of a variant, on this machine.

    Parameters
    ----------
    files
        As `read_files` takes them: a path, a list of them, or compartment to path.
    located
        Reference to path of each file, the tables and masks included.
    labels
        The label table where the source gives one that is no file of `located`.
    used
        The files that the atlas is read from, for its provenance.
    """

    files: Any
    located: Mapping[str, Path]
    labels: object = None
    used: tuple[Path, ...] = ()


@runtime_checkable
class ObtainFile(Protocol):
    """Returns the file of a place, which is downloaded if need be and allowed."""

    def __call__(self, place: str, *, allow_download: bool = True) -> Path:
        """Raise `AtlasUnavailableError` where it is not to be had."""
        ...


@runtime_checkable
class ObtainAtlas(Protocol):
    """Returns the files of a variant; what is made in memory is written to `scratch`."""

    def __call__(self, variant: Variant, scratch: Path, *, allow_download: bool = True) -> Obtained:
        """Raise `AtlasUnavailableError` where they are not to be had."""
        ...


def _nothing() -> Iterator[Path]:
    return iter(())


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Where atlases come from.

    Most sources hold files, each of which has a reference, ``scheme:place``; an atlas is
    then the files that its entry names. Of others a whole atlas is asked for.

    Parameters
    ----------
    via
        Its name, as users and entries state it.
    origin
        Returns what provenance says of a variant, and of the place of its first file.
    schemes
        What its references begin with; none of a source without files of its own.
    find, obtain
        Take the place of a file (of an address, the whole reference): return it if it is on
        this machine, and fetch it otherwise.
    has
        Whether a file is on this machine; by default if `find` finds it.
    refer
        Returns the reference that a pattern of an entry stands for, its values filled in.
    has_atlas, obtain_atlas
        The same of a whole atlas, for a source without references.
    is_ours
        Whether its files were fetched by this package or for it, so that a damaged one may
        be deleted and fetched again.
    fetch_ahead
        Fetches what all its atlases need and yields the folders, where that is little.
    list_missing
        Returns the names of what `fetch_ahead` would fetch.
    folders
        Returns the folders that its files are kept in, the cache aside.
    variable
        The environment variable that names another such folder.
    hosts
        Name to the address that is asked whether the network is there.
    """

    via: str
    origin: Callable[[Variant, str], str]
    schemes: tuple[str, ...] = ()
    find: Callable[[str], Path | None] | None = None
    obtain: ObtainFile | None = None
    has: Callable[[str], bool] | None = None
    refer: Callable[[Variant, str], str] | None = None
    has_atlas: Callable[[Variant], bool] | None = None
    obtain_atlas: ObtainAtlas | None = None
    is_ours: bool = True
    fetch_ahead: Callable[[], Iterator[Path]] = _nothing
    list_missing: Callable[[], list[str]] = list
    folders: Callable[[], list[Path]] = list
    variable: str = ""
    hosts: Mapping[str, str] = dataclasses.field(default_factory=dict)
