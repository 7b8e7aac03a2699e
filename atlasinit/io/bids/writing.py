"""An atlas as a BIDS derivative dataset, put in place as a whole."""

import contextlib
import dataclasses
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.labels import hemisphere_of
from atlasinit.core.maps import HardMaps
from atlasinit.errors import ArgumentError, AtlasFileError, AtlasFileWarning, Passing, warn
from atlasinit.io.bids import sidecars
from atlasinit.io.bids.names import entities_for, entities_of, file_name, is_same_atlas
from atlasinit.io.contents import COMPARTMENTS
from atlasinit.io.files import parsing
from atlasinit.io.formats import (
    cifti,
    gifti,
    nifti,
)
from atlasinit.io.own_header import file_keys
from atlasinit.io.tables.reading import write_labels
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import check_name, staged_folder

DESCRIPTION = "dataset_description.json"
_Told = TypeVar("_Told", AtlasFileError, AtlasFileWarning)


def write(
    atlas: Atlas,
    path: PathLike,
    *,
    overwrite: bool = False,
    entities: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write an atlas into a BIDS 1.11 derivative dataset, and return the files.

    Hard maps are ``dseg``, others ``probseg``: a volume as NIfTI; the two cortices as a
    GIFTI file each; surfaces and voxels together, and other surfaces, as one CIFTI file.
    Each image has its table of labels and its sidecar beside it. BIDS has no name for
    soft maps of surfaces; these are ``_probseg.func.gii`` and ``_probseg.dscalar.nii``,
    listed in ``.bidsignore`` with the tables of all probabilistic segmentations.

    A dataset of this package takes further atlases. It is built beside its place, and
    takes it once it is whole; whatever stops the process before leaves the old dataset,
    or none.

    Parameters
    ----------
    atlas
        With a licence, a name of letters and digits, and a space that is a template.
    path
        The folder of the dataset: new, empty, or a dataset of this package.
    overwrite
        Whether files of the same atlas, by their entities, are replaced.
    entities, metadata
        As for `atlasinit.save_atlas`.

    Raises
    ------
    ValueError
        No licence, name or template; entities or metadata of no meaning.
    AtlasFileError
        A folder that is no dataset of this package, or holds the atlas already; one
        whose parent is missing or cannot be written.
    """
    metadata = dict(metadata or {})
    sidecars.check_metadata(metadata)
    licence = str(metadata.get("License", atlas.provenance.licence)).strip()
    if not licence:
        raise ArgumentError(
            "atlas",
            f": BIDS needs the licence of {atlas.name!r}, which states none",
            "pass " + Passing(metadata={"License": ...}),
        )
    atlas = atlas.replace(provenance=dataclasses.replace(atlas.provenance, licence=licence))
    own = entities_for(atlas, entities or {})
    stated = expand(path)
    check_name(stated)
    if stated.is_symlink() and not stated.exists():
        raise AtlasFileError(stated, "is a link to nothing", "remove it, or name its target")
    # Through a link, as renaming would replace the link and leave its target.
    target = stated.resolve()
    dataset = _read_existing(target)
    with (
        staged_folder(target, keep=dataset is not None) as staging,
        _naming(target, staging=staging),
    ):
        folder = _make_folder(staging, own)
        _make_room(folder, own, overwrite=overwrite)
        written = _write_images(atlas, folder, own, metadata)
        about = staging / f"atlas-{own['atlas']}_description.json"
        _describe(about, sidecars.describe_atlas(atlas, licence, metadata), overwrite=overwrite)
        _write_frame(staging, sidecars.describe_dataset(dataset, licence))
        written += [about, staging / DESCRIPTION]
    return [target / file.relative_to(staging) for file in written]


def _read_existing(target: Path) -> Mapping[str, Any] | None:
    """Return the description of a dataset of this package, None where there is nothing."""
    # It would be renamed away under the process, whose relative paths then lead to the old one.
    if Path.cwd().is_relative_to(target):
        raise AtlasFileError(target, "is the folder of this process", "name another for BIDS")
    if target.is_file():
        raise AtlasFileError(target, "is a file", "a BIDS dataset is a folder")
    if not target.exists() or not any(target.iterdir()):
        return None
    try:
        found = json.loads((target / DESCRIPTION).read_text(encoding="utf-8"))
        if sidecars.GENERATOR in [entry.get("Name") for entry in found["GeneratedBy"]]:
            return found
    # No description, or one in another form, says that somebody else wrote it.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise AtlasFileError(
        target,
        "holds files, but is no dataset that atlasinit wrote, and is left as it is",
        "choose a new or an empty folder",
    )


def _make_folder(root: Path, own: Mapping[str, str]) -> Path:
    """Return the folder of the images, made if need be."""
    cohort = [f"cohort-{own['cohort']}"] if "cohort" in own else []
    folder = root.joinpath(f"tpl-{own['tpl']}", *cohort, "anat")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make_room(folder: Path, own: Mapping[str, str], *, overwrite: bool) -> None:
    """Remove what the dataset holds of the atlas; without `overwrite` that is an error."""
    for file in sorted(folder.iterdir()):
        if is_same_atlas(entities_of(file), own):
            if not overwrite:
                raise AtlasFileError(
                    file,
                    "exists already",
                    "pass "
                    + Passing(overwrite=True)
                    + " to replace the atlas, or tell the two apart by "
                    + Passing(entities={"desc": ...}),
                )
            file.unlink()


def _write_images(
    atlas: Atlas, folder: Path, own: Mapping[str, str], metadata: Mapping[str, Any]
) -> list[Path]:
    """Write images, tables and sidecars, and return them."""
    hard = all(isinstance(maps, HardMaps) for maps in atlas.maps.values())
    suffix = "dseg" if hard else "probseg"
    surfaces = [c for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)]
    tables = [atlas.table]
    if not surfaces:
        images = nifti.write(atlas, folder / file_name(own, suffix, ".nii.gz"))[:1]
    # Two cortices alone are GIFTI files, which BIDS has a name for; anything else with a surface is
    # CIFTI's.
    elif set(atlas.compartments) <= set(COMPARTMENTS.values()):
        # The writer puts in the other side.
        sided = {**own, "hemi": hemisphere_of("", atlas.compartments[0])}
        name = file_name(sided, suffix, ".label.gii" if hard else ".func.gii")
        images = gifti.write(atlas, folder / name)
        tables = [atlas.table.take(atlas.table.rows_of(c)) for c in atlas.compartments]
    else:
        name = file_name(own, suffix, ".dlabel.nii" if hard else ".dscalar.nii")
        images = cifti.write(atlas, folder / name)
    files = []
    for image, labels in zip(images, tables, strict=True):
        entities = entities_of(image)
        table, sidecar = (
            folder / file_name(entities, suffix, ending) for ending in (".tsv", ".json")
        )
        # The image's writer has warned already of new keys.
        index = file_keys(labels) if hard else list(range(1, len(labels) + 1))
        write_labels(labels, table, index=index)
        content = sidecars.describe_image(atlas, labels, entities, metadata, hard=hard)
        _write_json(sidecar, content)
        files += [image, table, sidecar]
    return files


def _describe(path: Path, content: Mapping[str, Any], *, overwrite: bool) -> None:
    """Write the description of an atlas, which several images of the dataset may share."""
    if os.path.lexists(path) and not overwrite:
        with parsing(path, "a description of an atlas"):
            found = json.loads(path.read_text(encoding="utf-8"))
        if found != content:
            raise AtlasFileError(
                path,
                "describes the atlas in other words",
                "pass "
                + Passing(overwrite=True)
                + " to replace them, or give this one another label: "
                + Passing(entities={"atlas": ...}),
            )
    _write_json(path, content)


def _write_frame(root: Path, description: Mapping[str, Any]) -> None:
    """Write what belongs to the dataset as a whole."""
    abouts = sorted(root.glob("atlas-*_description.json"))
    atlases = []
    for path in abouts:
        with parsing(path, "a description of an atlas"):
            atlases.append(json.loads(path.read_text(encoding="utf-8")))
    _write_json(root / DESCRIPTION, description)
    _write_text(root / "README.md", sidecars.write_readme(atlases))
    _write_text(root / ".bidsignore", "".join(f"{path}\n" for path in _list_nameless(root)))


def _list_nameless(root: Path) -> list[str]:
    """Return the files that BIDS has no name for, and descriptions of these alone.

    These are soft maps of surfaces, which alone have a density, and the tables of
    probabilistic segmentations, though BIDS says what these hold.
    """
    # Atlases with an image that BIDS can name; the description of any other is of no file.
    seen = {entities_of(path)["atlas"] for path in root.rglob("tpl-*_dseg.*")}
    found = []
    for path in sorted(root.rglob("tpl-*_probseg.*")):
        entities = entities_of(path)
        if "den" in entities or path.suffix == ".tsv":
            found.append(path.relative_to(root).as_posix())
        else:
            seen.add(entities["atlas"])
    abouts = [path for path in root.glob("atlas-*") if entities_of(path)["atlas"] not in seen]
    return [*found, *(path.name for path in abouts)]


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    _write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _write_text(path: Path, text: str) -> None:
    # An existing file is also the old dataset's, by a hard link: writing into it would change that.
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _naming(target: Path, *, staging: Path) -> Iterator[None]:
    """Name the place of the dataset in errors and warnings, not where it is built."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except AtlasFileError as error:
            raise _move_path(error, staging, target) from error
    for warning in caught:
        told = warning.message
        assert isinstance(told, Warning)
        warn(_move_path(told, staging, target) if isinstance(told, AtlasFileWarning) else told)


def _move_path(told: _Told, staging: Path, target: Path) -> _Told:
    """Return what is told of a file of `staging` as of the same file of `target`."""
    path = Path(told.path)
    return told.of(target / path.relative_to(staging)) if path.is_relative_to(staging) else told
