"""The page of a view: what it holds, written, shown in notebooks and opened in a browser."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.errors import ArgumentError
from atlasinit.report.parcels import is_soft
from atlasinit.support.pages import (
    encode_gzip,
    fill_template,
    frame_page,
    open_page,
    read_part,
    write_page,
)
from atlasinit.support.typing import PathLike
from atlasinit.support.version import __version__
from atlasinit.viewer.meshes import MeshView
from atlasinit.viewer.niivue import NiiVue
from atlasinit.viewer.paintings import Painting
from atlasinit.viewer.places import find_places
from atlasinit.viewer.volumes import VolumeView

_LARGEST = 200 * 2**20
"""Bytes of a page that browsers open."""

_PACKAGE = "atlasinit.viewer"


@dataclasses.dataclass(frozen=True)
class AtlasView:
    """A page on which an atlas is turned, sliced and picked, made by `view_atlas`.

    The last line of a notebook's cell shows it. Corresponds to what nilearn's ``view_img`` and
    ``view_surf`` return.

    Parameters
    ----------
    title
        Of the page.
    html
        The whole page, which needs nothing beside itself.
    """

    title: str
    html: str = dataclasses.field(repr=False)

    def save_as_html(self, path: PathLike, *, overwrite: bool = False) -> Path:
        """Write the page, and return its path.

        Parameters
        ----------
        path
            Ends in ``.html`` or ``.htm``. The file appears under its name once it is whole.
        overwrite
            Whether an existing file is replaced.

        Raises
        ------
        ValueError
            Another extension.
        AtlasFileError
            A file that exists, unless `overwrite`, or a folder that does not.
        """
        return write_page(self.html, path, overwrite=overwrite)

    def open_in_browser(self) -> Path:
        """Write the page to a temporary file, open it in the browser, and return its path."""
        return open_page(self.html, "view.html")

    def _repr_html_(self) -> str:
        return frame_page(self.html, self.title)


def build_page(
    atlas: Atlas,
    title: str,
    *,
    volumes: list[VolumeView],
    meshes: list[MeshView],
    paintings: Sequence[Painting],
    networks: dict[str, str],
    niivue: NiiVue,
) -> AtlasView:
    """Return the page.

    Raises
    ------
    ValueError
        Volumes and meshes that take more bytes than a browser opens.
    """
    packed = {
        "volumes": [_pack_volume(volume) for volume in volumes],
        "meshes": [_pack_mesh(mesh) for mesh in meshes],
    }
    _check_sizes(packed)
    content = {
        **packed,
        "parcels": _describe_parcels(atlas, find_places(atlas.n_parcels, volumes, meshes)),
        "paintings": [
            {
                "title": one.title,
                "colors": _pack(one.colors),
                "texts": one.texts,
                "scale": dict(one.scale),
                "hatched": one.hatched,
            }
            for one in paintings
        ],
    }
    # Of JSON in a page, "<" alone could end the element or begin a comment.
    data = json.dumps(content, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    html = fill_template(
        _PACKAGE,
        "view.html",
        script=read_part(_PACKAGE, "view.js"),
        style=read_part("atlasinit.report", "page.css") + read_part(_PACKAGE, "view.css"),
        title=title,
        version=__version__,
        atlas=atlas,
        data=data,
        niivue=niivue,
        paintings=paintings,
        shapes=list(dict.fromkeys(name for mesh in meshes for name in mesh.shapes)),
        has_volumes=bool(volumes),
        has_meshes=bool(meshes),
        has_sides=len({mesh.hemisphere for mesh in meshes} & {"L", "R"}) == 2,
        is_soft=is_soft(atlas),
        networks=networks,
    )
    return AtlasView(title, html)


def _describe_parcels(
    atlas: Atlas, places: Sequence[tuple[str, int, int] | None]
) -> list[dict[str, Any]]:
    table = atlas.table
    columns = [c for c in ("name", "key", "compartment", "hemisphere", "network") if c in table]
    rows = zip(*(table[c] for c in columns), strict=True)
    return [
        {**{c: v for c, v in zip(columns, row, strict=True) if v not in (None, "")}, "place": place}
        for row, place in zip(rows, places, strict=True)
    ]


def _pack_volume(volume: VolumeView) -> dict[str, Any]:
    return {
        "compartment": volume.compartment,
        "shape": volume.rows.shape,
        "affine": volume.affine.tolist(),
        # The first axis runs fastest, as in NIfTI.
        "rows": _pack(volume.rows.T),
        "grey": None if volume.grey is None else _pack(volume.grey.T),
    }


def _pack_mesh(mesh: MeshView) -> dict[str, Any]:
    return {
        "compartment": mesh.compartment,
        "hemisphere": mesh.hemisphere,
        "rows": _pack(mesh.rows),
        "faces": _pack(mesh.faces),
        "shapes": {name: _pack(coordinates) for name, coordinates in mesh.shapes.items()},
        "anatomical": None if mesh.anatomical is None else _pack(mesh.anatomical),
    }


def _pack(array: np.ndarray) -> str:
    """Return an array's bytes, little-endian, its last axis running fastest."""
    return encode_gzip(array.astype(array.dtype.newbyteorder("<")).tobytes())


def _check_sizes(packed: dict[str, list[dict[str, Any]]]) -> None:
    sizes = {
        part["compartment"]: len(json.dumps(part)) for parts in packed.values() for part in parts
    }
    if sum(sizes.values()) > _LARGEST:
        told = ", ".join(f"{c} {size / 2**20:.0f}" for c, size in sizes.items())
        raise ArgumentError(
            "atlas",
            f"takes more MiB than the {_LARGEST // 2**20} of a page that browsers open: {told}",
            "resample it to a coarser grid or mesh, or view one compartment of it",
        )
