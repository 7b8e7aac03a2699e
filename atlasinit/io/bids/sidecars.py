"""The JSON files of a dataset: of itself, of an atlas, and of each image."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.labels import REQUIRED, LabelTable
from atlasinit.errors import ArgumentError, Passing, nearest
from atlasinit.support.version import __version__

BIDS_VERSION = "1.11.1"
GENERATOR = "atlasinit"
"""Name under which a dataset states that this package wrote it."""

# Of the atlas; the value says whether BIDS wants a list.
_OF_ATLAS = {
    **dict.fromkeys(("Name", "Description", "License", "Species", "SampleSize"), False),
    **dict.fromkeys(("DerivedFrom", "LevelType", "RRID"), False),
    **dict.fromkeys(("Authors", "Curators", "Funding", "ReferencesAndLinks"), True),
}
_OF_IMAGE = ("SpatialReference", "Manual", "Resolution", "Density")

# The templates that BIDS names; any other needs a SpatialReference.
_STANDARD = re.compile(
    "ICBM452(Air|Warp5)Space|IXI549Space|fsaverage(Sym)?|fsLR|MNIColin27|MNI152Lin|MNI305|NIHPD|"
    "MNI152NLin2009[abc](Sym|Asym)|MNI152NLin6(Sym|Asym)|OASIS30(AntsOASISAnts|Atropos)|"
    "Talairach|UNCInfant"
)


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Refuse metadata that no sidecar has a place for."""
    allowed = (*_OF_ATLAS, *_OF_IMAGE)
    for key in metadata:
        if key not in allowed:
            raise ArgumentError(
                "metadata", f"may be {', '.join(allowed)}, got {key!r}", nearest(key, allowed)
            )


def describe_dataset(existing: Mapping[str, Any] | None, licence: str) -> dict[str, Any]:
    """Return the content of ``dataset_description.json``, with the licences of all atlases."""
    licences = [str((existing or {}).get("License", "")), licence]
    # Licences of several atlases are one text with semicolons, which is taken apart again so that
    # none is stated twice.
    stated = [one for text in licences for one in text.split("; ") if one]
    own = {
        "Name": "Brain atlases",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": GENERATOR, "Version": __version__}],
    }
    # What others added to the description stays.
    return {**own, **(existing or {}), "License": "; ".join(dict.fromkeys(stated))}


def describe_atlas(atlas: Atlas, licence: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``atlas-<label>_description.json``."""
    found: dict[str, Any] = {"Name": atlas.name, "License": licence}
    found["Description"] = f"The atlas {atlas.name}, as parcels with names and colours."
    if atlas.provenance.citation:
        found["ReferencesAndLinks"] = [atlas.provenance.citation]
    for key, value in metadata.items():
        if key in _OF_ATLAS:
            found[key] = [value] if _OF_ATLAS[key] and not isinstance(value, list) else value
    return found


def describe_image(
    atlas: Atlas,
    labels: LabelTable,
    entities: Mapping[str, str],
    metadata: Mapping[str, Any],
    *,
    hard: bool,
) -> dict[str, Any]:
    """Return the sidecar of an image and of its table.

    Raises
    ------
    ValueError
        A template that BIDS does not name, without a ``SpatialReference``.
    """
    what = "Labels" if hard else "Weights, one map per parcel,"
    provenance = atlas.provenance
    done = "".join(f"; {operation}" for operation in provenance.operations)
    found: dict[str, Any] = {
        "Description": f"{what} of {len(labels)} parcels of {atlas.name} "
        f"({provenance.source or 'computed'} {provenance.version}".rstrip()
        + f"{done})."
    }
    geometry = next(iter(atlas.geometry.values()))
    if "den" in entities:
        meshes = [g for g in atlas.geometry.values() if isinstance(g, SurfaceMesh)]
        text = f"{meshes[0].n_vertices} vertices per hemisphere" if meshes else entities["den"]
        found["Density"] = {entities["den"]: text}
    if "res" in entities:
        sizes = [] if isinstance(geometry, SurfaceMesh) else geometry.voxel_sizes
        text = " x ".join(f"{size:g}" for size in sizes) + " mm"
        found["Resolution"] = {entities["res"]: text if len(sizes) else entities["res"]}
    # Volumes of a probseg have no keys; the list names them in their order.
    if not hard:
        found["LabelMap"] = list(labels["name"])
    found |= {key: metadata[key] for key in _OF_IMAGE if key in metadata}
    if not _STANDARD.fullmatch(entities["tpl"]) and "SpatialReference" not in found:
        raise ArgumentError(
            "metadata",
            f": BIDS does not name the template {entities['tpl']!r}, and so wants the address "
            "of what defines it: pass "
            + Passing(metadata={"SpatialReference": "https://..."})
            + ", or name the template by "
            + Passing(entities={"tpl": ...}),
        )
    return {**found, **_describe_columns(labels)}


def _describe_columns(labels: LabelTable) -> dict[str, Any]:
    """Return what the columns of the table mean of which BIDS says nothing."""
    found: dict[str, Any] = {
        "hemisphere": {
            "Description": "Side that the parcel lies on; n/a for neither.",
            "Levels": {"L": "left", "R": "right"},
        }
    }
    # Behind the columns that every label table has.
    for title in labels.columns[len(REQUIRED) :]:
        found[title] = {"Description": f"{title} of the parcel, as in the source's label table."}
    return found


def write_readme(atlases: Sequence[Mapping[str, Any]]) -> str:
    """Return the content of ``README.md``, from the descriptions of the atlases."""
    lines = [
        "# Brain atlases",
        "",
        "A BIDS derivative dataset that atlasinit wrote, and that `atlasinit.load_atlas` reads.",
        "",
    ]
    for atlas in atlases:
        references = "; ".join(atlas.get("ReferencesAndLinks", ()))
        lines += [f"- {atlas['Name']}. {references}".rstrip(), f"  Licence: {atlas['License']}"]
    lines += [
        "",
        "What BIDS has no name for is listed in `.bidsignore`: soft maps of surfaces, and tables "
        "of probabilistic segmentations.",
    ]
    return "\n".join(lines) + "\n"
