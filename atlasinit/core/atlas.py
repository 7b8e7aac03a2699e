"""The atlas: compartments with geometry and maps, one label table, and provenance."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from atlasinit.core.geometry import Geometry
from atlasinit.core.header import AtlasHeader, check_kinds
from atlasinit.core.labels import REQUIRED, TOGETHER, LabelTable, hemisphere_of, is_home, relabel
from atlasinit.core.maps import (
    Maps,
    covered_totals,
    location_totals,
    scale,
)
from atlasinit.core.notebooks import show_atlas
from atlasinit.core.provenance import Provenance
from atlasinit.core.selection import (
    Parcel,
    check_names,
    select_rows,
)
from atlasinit.core.thresholds import drop_weights
from atlasinit.core.uniting import (
    check_homes,
    choose_compartments,
    place_parcels,
    unite_rows,
)
from atlasinit.errors import ArgumentError, format_count, format_list

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array


class Atlas(eqx.Module):
    """A parcellation: for each compartment a map from its locations to its parcels.

    Immutable and equal by value. As a pytree its only leaves are the arrays of
    its maps; geometry, labels and provenance are static. Made by
    `atlasinit.load_atlas`; the constructor is for atlases that are computed.

    Parameters
    ----------
    name
        Name of the atlas.
    space
        Space of its coordinates, as ``"MNI152NLin6Asym"`` or ``"fsaverage5"``.
    maps
        Compartment to maps; its order is the order of the output rows.
    geometry
        Compartment to `VolumeGrid` or `SurfaceMesh`.
    labels
        One row per parcel, grouped by compartment in the order of `maps`. Parcels that several
        compartments share (see `unite`) are rows of the first.
    provenance
        Source and history.

    Raises
    ------
    ValueError
        Compartments that differ between `maps`, `geometry` and `labels`, maps
        whose numbers of parcels or locations do not fit the two, or a mesh of the other
        hemisphere than the name of its compartment states.
    TypeError
        A name, space, geometry, table or provenance of another kind.
    """

    header: AtlasHeader = eqx.field(static=True)
    _maps: tuple[Maps, ...]

    def __init__(
        self,
        *,
        name: str,
        space: str,
        maps: Mapping[str, Maps],
        geometry: Mapping[str, Geometry],
        labels: LabelTable,
        provenance: Provenance = Provenance(),  # noqa: B008 (immutable)
    ) -> None:
        if not maps:
            raise ArgumentError("maps", "should hold at least one compartment, got none")
        check_kinds(name, space, geometry, labels, provenance)
        if set(maps) != set(geometry):
            raise ArgumentError(
                "maps",
                f"and `geometry` should have the same compartments, got {list(maps)} and "
                f"{list(geometry)}",
            )
        check_homes(labels, list(maps))
        for c, m in maps.items():
            expected = (len(labels.rows_of(c)), geometry[c].n_locations)
            if (m.n_parcels, m.n_locations) != expected:
                raise ArgumentError(
                    "maps",
                    f"of {c!r} should be (parcels, locations) = {expected} as its labels and "
                    f"geometry say, got {(m.n_parcels, m.n_locations)}",
                )
            side, stated = hemisphere_of("", c), geometry[c].hemisphere
            if side and stated and side != stated:
                raise ArgumentError(
                    "geometry",
                    f"of {c!r} should be of hemisphere {side!r}, as the name says, "
                    f"got {geometry[c]!r}",
                )
        geometries = tuple(geometry[c] for c in maps)
        self.header = AtlasHeader(name, space, tuple(maps), geometries, labels, provenance)
        self._maps = tuple(maps.values())

    @classmethod
    def from_header(cls, header: AtlasHeader, maps: Iterable[Maps]) -> "Atlas":
        """Return the atlas of a header and of the maps of its compartments, in their order."""
        return cls(
            name=header.name,
            space=header.space,
            maps=dict(zip(header.compartments, maps, strict=True)),
            geometry=header.geometry,
            labels=header.table,
            provenance=header.provenance,
        )

    @property
    def name(self) -> str:
        """Name of the atlas."""
        return self.header.name

    @property
    def space(self) -> str:
        """Space of its coordinates."""
        return self.header.space

    @property
    def compartments(self) -> tuple[str, ...]:
        """Names of the compartments, in the order of the output rows."""
        return self.header.compartments

    @property
    def provenance(self) -> Provenance:
        """Source and history."""
        return self.header.provenance

    @property
    def table(self) -> LabelTable:
        """The label table: one row per parcel, in the order of the output rows."""
        return self.header.table

    @property
    def maps(self) -> dict[str, Maps]:
        """Compartment to maps."""
        return dict(zip(self.compartments, self._maps, strict=True))

    @property
    def geometry(self) -> dict[str, Geometry]:
        """Compartment to geometry."""
        return self.header.geometry

    @property
    def n_parcels(self) -> int:
        """Number of parcels of all compartments, empty ones included."""
        return self.header.n_parcels

    @property
    def n_locations(self) -> int:
        """Number of locations of all compartments."""
        return self.header.n_locations

    @property
    def labels(self) -> "pd.DataFrame":
        """A new table with one row per parcel, in the order of the output rows.

        Columns: those of `LabelTable`, then ``n_locations`` (locations with a
        non-zero weight) and ``empty`` (true where there is none).
        """
        frame = self.table.to_frame()
        counts = self._counts()
        frame.insert(len(REQUIRED), "n_locations", counts)
        frame.insert(len(REQUIRED) + 1, "empty", counts == 0)
        return frame

    def location_slices(self) -> dict[str, slice]:
        """Return where each compartment's locations lie on the data's axis of locations."""
        return self.header.location_slices()

    def parcel_slices(self) -> dict[str, slice]:
        """Return where each compartment's parcels lie on the output's axis of parcels."""
        return self.header.parcel_slices()

    def to_dense(self) -> dict[str, Float[Any, "parcels locations"]]:
        """Return compartment to dense matrix (parcels, locations): float32, or of traced maps."""
        return {c: m.to_dense() for c, m in self.maps.items()}

    def to_scipy(self) -> dict[str, "csr_array"]:
        """Return compartment to ``scipy.sparse.csr_array``, float32, (parcels, locations)."""
        return {c: m.to_scipy() for c, m in self.maps.items()}

    def replace(
        self,
        *,
        name: str | None = None,
        maps: Mapping[str, Maps] | None = None,
        geometry: Mapping[str, Geometry] | None = None,
        labels: "LabelTable | pd.DataFrame | None" = None,
        provenance: Provenance | None = None,
        operation: str = "",
    ) -> "Atlas":
        """Return the atlas with other maps or geometries for the compartments given.

        And with another name, table or provenance. The table may be a frame as `labels` gives it,
        whose rows go by compartment and key, in any order, where these stay. `operation`, where
        given, is added to the provenance.
        """
        for argument, given in (("maps", maps or {}), ("geometry", geometry or {})):
            unknown = [c for c in given if c not in self.compartments]
            if unknown:
                raise ArgumentError(
                    argument, f": compartments are {list(self.compartments)}, got {unknown}"
                )
        found = self.provenance if provenance is None else provenance
        return Atlas(
            name=self.name if name is None else name,
            space=self.space,
            maps={**self.maps, **(maps or {})},
            geometry={**self.geometry, **(geometry or {})},
            labels=self.table if labels is None else relabel(self.table, labels),
            provenance=found.then(operation) if operation else found,
        )

    def select(
        self,
        parcels: Parcel | Iterable[Parcel] | None = None,
        *,
        compartments: str | Iterable[str] | None = None,
        hemisphere: str | None = None,
        network: str | Iterable[str] | None = None,
    ) -> "Atlas":
        """Return the atlas with only the parcels that satisfy every condition given.

        The remaining parcels keep their order and the geometries their locations,
        so data of the compartments still fits. Compartments are dropped only by
        `compartments`; one may be left without a parcel.

        Parameters
        ----------
        parcels
            Names, keys, (compartment, key) pairs, or compiled regular expressions
            that are searched in the names; one or several.
        compartments
            Compartments to keep.
        hemisphere
            ``"L"``, ``"R"``, also as ``"left"`` or ``"lh"``, or ``""`` (parcels of neither).
        network
            Values of the label table's column ``network``.

        Raises
        ------
        ValueError
            A name, key, compartment or network that the atlas does not have (with
            the nearest names), a key that several compartments use, a pattern that
            matches nothing, or conditions that no parcel satisfies.
        TypeError
            A mask of booleans.
        """
        kept = self.compartments
        if compartments is not None:
            wanted = check_names(compartments, self.compartments, "compartments")
            kept = tuple(c for c in self.compartments if c in wanted)
        rows = select_rows(
            self.table,
            kept,
            atlas=self.name,
            parcels=parcels,
            hemisphere=hemisphere,
            network=network,
        )
        if not rows and len(self.table):
            raise ArgumentError(
                "parcels", f": no parcel of {self.name!r} satisfies all the conditions"
            )
        operation = f"select({format_count(len(rows), 'parcel')})"
        # The order of the atlas, whatever that of `parcels`: rows stay grouped by compartment.
        return self._take(sorted(rows), kept).replace(operation=operation)

    def unite(self, *, by: str = "key", compartments: str | Iterable[str] | None = None) -> "Atlas":
        """Return the atlas with each parcel that lies in several compartments as one row.

        Parcels of different compartments are different ones unless this is asked for, since
        the two hemispheres often number theirs alike. Then a parcel's mean is one over all
        its locations, least squares solves one system of equations, and values painted back
        are the same in both hemispheres: as nilearn's ``SurfaceLabelsMasker`` and
        ``SurfaceMapsMasker`` take the two parts of an image. Geometries and data stay as they
        are. Such rows have all compartments in the table, as ``"cortex_L+cortex_R"``.

        Parameters
        ----------
        by
            ``"key"``: parcels of one key are one, as for nilearn; their names have to agree.
            ``"name"``: those of one name are, whatever their keys; where one key then has two
            names, they are numbered 1, 2, ... anew. A side or a compartment in front of a
            name, as in ``L_bankssts``, does not count.
        compartments
            Which of them share parcels, by default all.

        Returns
        -------
        Atlas
            Rows in the order of their keys if each compartment's are in that order, else as
            in the first compartment. Of columns that say different things of a parcel the
            first colour is kept, and no hemisphere nor other value.

        Raises
        ------
        ValueError
            A compartment that the atlas does not have, or only one; one key with two names.

        Examples
        --------
        >>> import atlasinit as ai
        >>> atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
        >>> both = atlas.unite(by="name")
        >>> atlas.n_parcels, both.n_parcels, both.labels["name"][0]
        (68, 34, 'bankssts')
        """
        if by not in ("key", "name"):
            raise ArgumentError("by", f'should be "key" or "name", got {by!r}')
        wanted = choose_compartments(compartments, self.compartments)
        table, places = unite_rows(self.table, self.compartments, wanted, by=by)
        maps = {
            c: place_parcels(m, places[c], len(table.rows_of(c))) if c in places else m
            for c, m in self.maps.items()
        }
        shown = "" if compartments is None else f", compartments={list(wanted)}"
        return self.replace(maps=maps, labels=table, operation=f"unite(by={by!r}{shown})")

    def drop_empty(self) -> "Atlas":
        """Return the atlas without the parcels that have no location."""
        rows = np.flatnonzero(self._counts() > 0).tolist()
        return self._take(rows, self.compartments).replace(operation="drop_empty()")

    def harden(self, *, threshold: float | int = 0) -> "Atlas":
        """Return the atlas with each location given to the parcel of largest positive weight.

        Ties go to the first parcel; a location where no weight is positive, or all
        are NaN, belongs to none. Parcels that win no location stay as empty rows.

        Parameters
        ----------
        threshold
            The least weight that wins a location, as 0.25; otherwise as `Atlas.threshold`.
        """
        kept, shown = self.maps, ""
        if threshold != 0:
            kept = drop_weights(self.header, self.maps, threshold, "threshold")
            shown = f"threshold={threshold:g}"
        return self.replace(
            maps={c: m.harden() for c, m in kept.items()}, operation=f"harden({shown})"
        )

    def threshold(self, at: float | int) -> "Atlas":
        """Return the atlas with 0 for every weight below `at`; labels have the weight 1.

        A location whose weights are all below belongs to no parcel, as data and geometry stay.
        A parcel whose weights are all below stays as an empty row, and a warning names it:
        `drop_empty` drops it. NaN stays. It is what ``nilearn.image.threshold_img`` does with
        ``two_sided=False``.

        Parameters
        ----------
        at
            A positive weight: 0.25 is 25 % of memberships, whose largest is 1.

        Raises
        ------
        ValueError
            What is no positive number, or above every weight.
        """
        kept = drop_weights(self.header, self.maps, at, "at")
        return self.replace(maps=kept, operation=f"threshold({at:g})")

    def normalize(self, per: str = "parcel") -> "Atlas":
        """Return the atlas with weights that sum to 1 per parcel or per location.

        A parcel (or location) whose weights sum to exactly 0, an empty one
        included, keeps its weights as they are. NaN weights make their sum, and so
        the whole parcel or location, NaN.

        Parameters
        ----------
        per
            ``"parcel"``: rows sum to 1, so that a projection is a weighted mean.
            ``"location"``: columns sum to 1, so that a location's weights are
            memberships.
        """
        if per not in ("parcel", "location"):
            raise ArgumentError("per", f'should be "parcel" or "location", got {per!r}')
        # Of the weights w (parcels k, locations j): w_kj / sum_j w_kj, or w_kj / sum_k w_kj.
        if per == "parcel":
            factors = _inverse(self.header.add_rows(m.totals() for m in self._maps))
            rows = self.parcel_slices()
            maps = {c: scale(m, parcels=factors[rows[c]]) for c, m in self.maps.items()}
        else:
            maps = {
                c: scale(m, locations=_inverse(location_totals(m))) for c, m in self.maps.items()
            }
        return self.replace(maps=maps, operation=f"normalize(per={per!r})")

    def coverage(self, mask: Mapping[str, np.ndarray] | np.ndarray) -> "pd.Series":
        """Return the share of each parcel's absolute weight at locations where `mask` is true.

        Parameters
        ----------
        mask
            Boolean array over all locations, or one per compartment; for instance
            where the data is not NaN.

        Returns
        -------
        pandas.Series
            float64 in [0, 1], indexed by parcel name. A parcel without locations has
            coverage 0; NaN weights give NaN.

        Raises
        ------
        ValueError
            A mask of another length, or not boolean; a compartment without one.
        """
        import pandas as pd

        inside = self.header.split_mask(mask)
        parts = [covered_totals(maps, inside[c]) for c, maps in self.maps.items()]
        # sum_{j in mask} |w_kj| / sum_j |w_kj| of parcel k, 0 / 1 of one without weights.
        total = self.header.add_rows(m.totals(absolute=True) for m in self._maps)
        share = self.header.add_rows(parts) / np.where(total == 0, 1, total)
        return pd.Series(share, index=list(self.table["name"]), name="coverage")

    def _repr_html_(self) -> str:
        return show_atlas(self)

    def __repr__(self) -> str:
        lines = [f"Atlas {self.name!r} in {self.space}: {format_count(self.n_parcels, 'parcel')}"]
        for c, maps in self.maps.items():
            kind = type(maps).__name__
            size = maps.nbytes / 2**20
            parcels = format_count(maps.n_parcels, "parcel")
            lines.append(f"  {c}: {parcels}, {kind} {size:.2f} MiB, {self.geometry[c]!r}")
        empty = [n for n, k in zip(self.table["name"], self._counts(), strict=True) if k == 0]
        if empty:
            lines.append(f"  without locations: {format_list(empty, 5)}")
        if self.provenance.source:
            lines.append(f"  source: {self.provenance.source}")
        lines.append(f"  licence: {self.provenance.licence or 'not stated'}")
        return "\n".join(lines)

    def _counts(self) -> np.ndarray:
        return self.header.add_rows(m.counts() for m in self._maps)

    def _take(self, rows: list[int], compartments: tuple[str, ...]) -> "Atlas":
        maps, table = {}, self.table.take(rows)
        # Of compartments that share parcels, only some may be left.
        homes = {
            home: TOGETHER.join(c for c in compartments if is_home(home, c))
            for home in table["compartment"]
        }
        for c in compartments:
            own = self.table.rows_of(c)
            # Rows of the table count through all compartments, those of maps from 0 in each.
            maps[c] = self.maps[c].take_parcels(
                np.array([r - own.start for r in rows if r in own], dtype=np.int64)
            )
        return Atlas(
            name=self.name,
            space=self.space,
            maps=maps,
            geometry={c: self.geometry[c] for c in compartments},
            labels=table.replace(compartment=[homes[home] for home in table["compartment"]]),
            provenance=self.provenance,
        )


def _inverse(totals: np.ndarray) -> np.ndarray:
    # Weights that sum to 0 cannot be made to sum to 1: the factor 1 leaves them.
    return 1 / np.where(totals == 0, 1, totals)
