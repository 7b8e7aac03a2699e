"""Null maps of values of parcels, and tests against them."""

import dataclasses
from typing import Any, Literal, TypeAlias

import jax
import numpy as np
from jaxtyping import Float64

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.labels import LabelTable
from atlasinit.core.named_values import align_columns
from atlasinit.errors import ArgumentError, Passing
from atlasinit.nullmodels.distances import parcel_distances
from atlasinit.nullmodels.spinning import Assign, spins
from atlasinit.nullmodels.surrogates import SURROGATES, draw_surrogates
from atlasinit.nullmodels.testing import Alternative, NullTest, Statistic, run_test
from atlasinit.support.arrays import make_read_only
from atlasinit.support.keys import check_key
from atlasinit.support.numbers import check_whole_number

Method: TypeAlias = Literal["spin", "moran", "variogram"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NullMaps:
    """Null maps of the values of parcels, as `atlasinit.nulls` makes them; immutable.

    Parameters
    ----------
    table
        The parcels.
    values
        (parcels,) as they are.
    maps
        (n, parcels) of each draw.
    method
        By which they were drawn.
    """

    table: LabelTable
    values: Float64[np.ndarray, " parcels"]
    maps: Float64[np.ndarray, "n parcels"]
    method: Method

    def __len__(self) -> int:
        return len(self.maps)

    def __repr__(self) -> str:
        return f"NullMaps({len(self)} of {len(self.table)} parcels, method={self.method!r})"

    def test(
        self,
        other: Any,
        *,
        statistic: Literal["pearson", "spearman"] | Statistic = "pearson",
        alternative: Alternative = "two-sided",
    ) -> NullTest:
        """Return whether the values have more in common with `other` than their null maps have.

        Parameters
        ----------
        other
            (parcels,) another map, by name where it carries names.
        statistic
            ``"pearson"``, ``"spearman"``, or a function of two arrays (m,) that returns a
            number. Parcels where either map is NaN take no part, in each null map anew.
        alternative
            ``"two-sided"``: null maps are as extreme whose absolute statistic is as large.

        Raises
        ------
        ValueError
            A statistic of the two maps that is NaN, as of constant values; and as `nulls`.
        """
        second = _one_map(other, self.table, "other")
        return run_test(
            self.values, second, self.maps, statistic=statistic, alternative=alternative
        )


def nulls(
    values: Any,
    atlas: Atlas,
    *,
    n: int | None = None,
    key: jax.Array | None = None,
    method: Method = "spin",
    assign: Assign = "vertex",
    rotations: Any = None,
    distances: Any = "centroid",
) -> NullMaps:
    r"""Return maps of values of parcels as they would be by chance, alike in space.

    ``nulls(x, atlas, key=key).test(y)`` says whether x and y have more in common than x rotated,
    or a map as smooth as x, has with y.

    - ``method="spin"``: `atlasinit.spins` of the atlas, and the values that its parcels then
      have (`atlasinit.nullmodels.Spins.apply`). By vertices it is neuromaps' ``cornblath``, by
      centroids its ``alexander_bloch`` and ``hungarian``.
    - ``method="moran"``: Moran spectral randomisation (Wagner and Dray, 2015) with inverse
      distances as weights: what the map has of each eigenvector of these keeps its size and gets
      a random sign. By ``brainspace.null_models.MoranRandomization``, as neuromaps' ``moran``.
    - ``method="variogram"``: the values permuted, smoothed and scaled such that their variogram
      fits that of the map (Burt et al., 2020), of mean 0. By ``brainsmash.mapgen.Base``, as
      neuromaps' ``burt2020``.

    NaN is a value of its own for rotations: it goes where its parcel goes. For the other two, a
    parcel with NaN takes no part and has NaN in all null maps. So has an empty parcel.

    Parameters
    ----------
    values
        (parcels,) one map, by name where it carries names.
    atlas
        Whose parcels they are. Rotations need labels on spheres; the others volumes, surfaces,
        labels or weights.
    n
        How many maps are drawn, by default 1000.
    key
        Of the draws. The two packages are given a seed made from it.
    method
        As above; all but ``"spin"`` need ``pip install "atlasinit[nulls]"``.
    assign, rotations
        Of ``method="spin"``, as of `atlasinit.spins`.
    distances
        Of the other methods, in mm: ``"centroid"``, straight lines between the centres of mass of
        the parcels, over all compartments; ``"geodesic"``, shortest paths along the anatomical
        surface between the vertices nearest to these centres; or a matrix (parcels, parcels), by
        name where it carries names. Parcels between which distances are infinite, as the paths
        between hemispheres, are drawn apart, with the same seed, as in neuromaps.

    Raises
    ------
    ValueError
        Constant values, or fewer than three; options of another method; a package that is not
        there; distances of meshes without an anatomical surface; and as `atlasinit.spins`.
    TypeError
        No key where one is needed.

    Examples
    --------
    >>> import jax
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    >>> x = np.random.default_rng(0).normal(size=68)
    >>> found = ai.nulls(x, atlas, n=99, key=jax.random.key(0), assign="hungarian")
    >>> found.maps.shape, found.test(x).p_value
    ((99, 68), 0.01)
    """
    if method != "spin" and method not in SURROGATES:
        raise ArgumentError("method", f"should be one of {['spin', *SURROGATES]}, got {method!r}")
    check_atlas(atlas)
    _check_options(method, assign=assign, rotations=rotations, distances=distances)
    found = _one_map(values, atlas.table, "values")
    _check_varies(found)
    if method == "spin":
        spun = spins(atlas, n=n, key=key, rotations=rotations, assign=assign)
        maps = spun.apply(found)
    else:
        count = check_whole_number(1000 if n is None else n, "n", least=1)
        seed = make_seed(key)
        apart = parcel_distances(atlas, distances)
        maps = draw_surrogates(found, apart, method=method, n=count, seed=seed)
    return NullMaps(atlas.table, make_read_only(found), make_read_only(maps), method)


def spin_test(
    x: Any,
    y: Any,
    atlas: Atlas,
    *,
    n: int | None = None,
    key: jax.Array | None = None,
    rotations: Any = None,
    assign: Assign = "vertex",
    statistic: Literal["pearson", "spearman"] | Statistic = "pearson",
    alternative: Alternative = "two-sided",
) -> NullTest:
    """Return whether two maps have more in common than one of them, rotated, has with the other.

    It is ``nulls(x, atlas, ...).test(y, ...)``; `nulls` and its `NullMaps` describe the rest.

    Parameters
    ----------
    x, y
        (parcels,) maps, by name where they carry names; `x` is rotated.
    atlas, n, key, rotations, assign
        As of `nulls`.
    statistic, alternative
        As of `atlasinit.nullmodels.NullMaps.test`.

    Examples
    --------
    >>> import jax
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    >>> x, y = np.random.default_rng(0).normal(size=(2, 68))
    >>> found = ai.spin_test(x, x + y, atlas, n=99, key=jax.random.key(0), assign="nearest")
    >>> found.n_extreme, found.p_value
    (0, 0.01)
    """
    drawn = nulls(x, atlas, n=n, key=key, assign=assign, rotations=rotations)
    return drawn.test(y, statistic=statistic, alternative=alternative)


def make_seed(key: Any) -> int:
    """Return the seed that the packages of other projects are given for a key."""
    words = np.asarray(jax.random.key_data(check_key(key)))
    return int(np.random.SeedSequence(words.tolist()).generate_state(1)[0])


def _one_map(values: Any, table: LabelTable, argument: str) -> Float64[np.ndarray, " parcels"]:
    columns = align_columns(values, table, argument=argument)
    if len(columns) != 1:
        raise ArgumentError(
            argument,
            f"should be one map (parcels,), got {len(columns)}: {list(columns)}",
            "take one of them",
        )
    return next(iter(columns.values())).astype(np.float64)


def _check_varies(values: Float64[np.ndarray, " parcels"]) -> None:
    there = values[~np.isnan(values)]
    if not np.isfinite(there).all():
        raise ArgumentError("values", "should be finite or NaN, got infinity")
    if there.size < 3:
        raise ArgumentError(
            "values", f"should be numbers at three parcels or more, got {there.size}"
        )
    if there.min() == there.max():
        raise ArgumentError(
            "values", f"should vary, but all are {there[0]:g}", "Nothing of them is left to chance"
        )


def _check_options(method: str, *, assign: Any, rotations: Any, distances: Any) -> None:
    if method == "spin" and not (isinstance(distances, str) and distances == "centroid"):
        raise ArgumentError(
            "distances",
            "are of the other methods, while rotations know none",
            "leave them out, or pass " + Passing(method="moran"),
        )
    if method != "spin" and (rotations is not None or assign != "vertex"):
        name = "assign" if rotations is None else "rotations"
        raise ArgumentError(
            name, f'is of method="spin", while the method is {method!r}', "leave it out"
        )
