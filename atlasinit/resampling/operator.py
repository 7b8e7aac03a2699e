"""Data moved to other locations, by an operator that is built once and used often."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
from jaxtyping import Array, Bool

from atlasinit.core.checking import check_space_name
from atlasinit.core.geometry import Geometry
from atlasinit.projection.checks import check_data, check_size
from atlasinit.resampling.targets import find_origin, find_places
from atlasinit.resampling.warping import check_overlap, find_warped_places
from atlasinit.resampling.weights import Options, find_weights
from atlasinit.support.averaging import SparseMeans

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class ResamplingOperator(eqx.Module):
    r"""Values of source locations at target locations: weighted means, :math:`y = W x`.

    Made by `resampling_operator`. The rows of :math:`W` sum to 1; one of a target without any
    source location is empty. The operator is a pytree whose leaves are the arrays: it may be an
    argument of a jitted function or a part of a layer.

    Parameters
    ----------
    means
        The weights, (targets, sources).
    sources, targets
        Compartments with their geometries, in the order of the locations.
    """

    means: SparseMeans
    sources: tuple[tuple[str, Geometry], ...] = eqx.field(static=True)
    targets: tuple[tuple[str, Geometry], ...] = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, int]:
        """(targets, sources): the kept locations of all compartments."""
        return self.means.shape

    @property
    def is_empty(self) -> Bool[Array, " targets"]:
        """Whether a target has no source location that is kept."""
        return self.means.is_empty

    def __call__(
        self, data: Any, *, missing: str = "propagate", empty: float = float("nan")
    ) -> Array:
        """Return data at the target's locations.

        Parameters
        ----------
        data
            (..., sources, time), or (sources,); or a mapping from compartment to such arrays: as
            for `atlasinit.project`.
        missing
            ``"propagate"``: a NaN makes NaN of every target that weighs it. ``"omit"``: it is
            left out, and the weights of the others are scaled up.
        empty
            The value of targets without a source, and, with ``"omit"``, of those whose sources
            are all NaN.

        Returns
        -------
        jax.Array
            (..., targets, time) or (targets,), in the dtype of the data; sums are in float32 or
            wider.

        Raises
        ------
        ValueError
            Another number of locations, or another word for `missing`.
        TypeError
            Data that is not floating: means of labels are none.
        """
        values = check_data(data, {c: g.n_locations for c, g in self.sources})
        return self.means.average(values, missing=missing, empty=empty)

    def __matmul__(self, data: Any) -> Array:
        """Return :math:`W x` of data as for a call, linear: 0 at targets without a source."""
        values = check_data(data, {c: g.n_locations for c, g in self.sources})
        return self.means.multiply(values)

    def transpose(self, values: Any) -> Array:
        """Return :math:`W' y` of (..., targets, time) or (targets,) values: of the adjoint of @."""
        given = check_size(values, self.shape[0], "values", "locations")
        return self.means.transpose(given)

    def to_scipy(self) -> "csr_array":
        """Return the matrix as ``scipy.sparse.csr_array``, float32, (targets, sources)."""
        return self.means.to_scipy()

    def __repr__(self) -> str:
        return f"ResamplingOperator({self.shape[1]} to {self.shape[0]} locations)"


def resampling_operator(
    source: Any,
    target: Any,
    *,
    method: str = "auto",
    areas: str = "auto",
    transform: Any = None,
    space: str | None = None,
) -> ResamplingOperator:
    """Return the operator that moves data from the locations of `source` to those of `target`.

    By the weights of `atlasinit.resample`. Where some of the source locations that a target
    weighs are not kept (outside of a mask, on the medial wall) or lie outside of the grid, the
    weights of the others are scaled up to the sum 1, as ``-current-roi`` of ``wb_command
    -metric-resample`` does; a target of which none is kept has no value. The same as
    ``wb_command -metric-resample`` and ``nilearn.image.resample_to_img``
    (``interpolation="nearest"`` and ``"linear"``; it gives 0 outside). Through `transform` each
    position of the target is looked up where the transforms take it, once: data is interpolated
    once, whatever their number, as ``antsApplyTransforms`` and nitransforms' ``apply`` do.

    Parameters
    ----------
    source
        Where data lie: an atlas, a geometry, a mapping from compartment to geometry, or an image
        (of nibabel, or its path), which stands for its whole grid, or for the locations of
        CIFTI-2; or the file of a sphere. Data of several compartments lie one after the other, in
        their order.
    target
        Where they are moved to: as for `atlasinit.resample`, of the same compartments. The result
        has them in the order of the target.
    method
        ``"nearest"``, ``"linear"`` or ``"area"``; ``"auto"`` is ``"linear"``.
    areas
        As for `atlasinit.resample`.
    transform
        Files of spatial transforms that take an image of the source to the target, in the order in
        which it goes through them: as for `atlasinit.resample`. For grids.
    space
        As for `atlasinit.resample`; with `transform` it may be left out.

    Raises
    ------
    ValueError, TypeError, AtlasFileError
        As `atlasinit.resample`.

    Examples
    --------
    >>> import numpy as np
    >>> from atlasinit import VolumeGrid
    >>> fine, coarse = np.diag([1.0, 1, 1, 1]), np.diag([2.0, 1, 1, 1])
    >>> coarse[0, 3] = 0.5
    >>> source, target = VolumeGrid((4, 1, 1), fine), VolumeGrid((2, 1, 1), coarse)
    >>> operator = resampling_operator(source, target, method="area")
    >>> operator(np.array([1.0, 3, 5, 7], np.float32)).tolist()
    [2.0, 6.0]
    """
    from scipy.sparse import block_array, csr_array, vstack

    check_space_name(space)
    options = Options(method, areas)
    origin = find_origin(source, target)
    chain = None
    if transform is None:
        places = find_places(origin, target, space, whole=True)
    else:
        places, chain, _ = find_warped_places(origin, target, transform, space, whole=True)
    # A row of blocks for each compartment of the target, a column for each of the source: their
    # orders may differ.
    blocks: list[list[Any]] = []
    known = origin.standard_space(space)
    for c, place in places.items():
        names = (origin.argument, c)
        parts = find_weights(
            origin.geometry[c], place, options, hard=False, names=names, space=known
        )
        own = vstack(list(parts))
        blocks.append([own if c == other else None for other in origin.compartments])
    matrix = csr_array(block_array(blocks))
    if chain is not None:
        check_overlap(matrix.nnz, f"location of {origin.name}", chain)
    return ResamplingOperator(
        SparseMeans.from_scipy(matrix),
        tuple(origin.geometry.items()),
        tuple((c, place.geometry) for c, place in places.items()),
    )


def resample_data(
    data: Any,
    source: Any,
    target: Any,
    *,
    method: str = "auto",
    areas: str = "auto",
    transform: Any = None,
    missing: str = "propagate",
    empty: float = float("nan"),
    space: str | None = None,
) -> Array:
    """Return data at the locations of `target`.

    For several data build `atlasinit.resampling_operator` once, and call it; it is jittable and
    differentiable.

    Parameters
    ----------
    data
        (..., locations, time), or (locations,), floating; or a mapping from compartment to such
        arrays: as for `atlasinit.project`. Labels are moved as an atlas, by `atlasinit.resample`.
    source, target, method, areas, transform, space
        As for `atlasinit.resampling_operator`.
    missing
        ``"propagate"``: a NaN makes NaN of every target that weighs it. ``"omit"``: it is left
        out, and the weights of the others are scaled up.
    empty
        The value of targets of which no source location is kept, and, with ``"omit"``, of those
        whose sources are all NaN.

    Returns
    -------
    jax.Array
        (..., targets, time) or (targets,), in the dtype of the data.

    Raises
    ------
    ValueError, TypeError, AtlasFileError
        As `atlasinit.resampling_operator`, and data of another number of locations or that is
        not floating.
    """
    operator = resampling_operator(
        source, target, method=method, areas=areas, transform=transform, space=space
    )
    return operator(data, missing=missing, empty=empty)
