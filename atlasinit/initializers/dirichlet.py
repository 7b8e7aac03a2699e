"""Random distributions over parcels at each location, as an initialiser and as an atlas."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.counts import by_compartment, check_geometries, count_parcels
from atlasinit.core.geometry import Geometry
from atlasinit.core.labels import numbered_labels
from atlasinit.core.maps import DenseMaps
from atlasinit.core.provenance import Provenance
from atlasinit.domains import Domain, Fixed, Simplex, fixed
from atlasinit.errors import ArgumentError
from atlasinit.initializers.apply import named_key
from atlasinit.initializers.protocol import check_real, place
from atlasinit.support.keys import check_key


@dataclasses.dataclass(frozen=True)
class Dirichlet:
    r"""Draws from a Dirichlet distribution along an axis.

    With concentrations :math:`\alpha_l` of sum :math:`A`, the weight of label :math:`l` has mean
    :math:`\alpha_l / A` and variance :math:`\alpha_l (A - \alpha_l) / A^2 (A + 1)`: large
    concentrations give nearly equal weights, those below 1 nearly hard labels.

    Parameters
    ----------
    concentration
        Positive; one for all labels, or one for each.
    axis
        The axis along which weights sum to 1; by default -2, the parcels of maps.
    domain
        Domain to which `initialize` constrains the weights; by default `Simplex` on that
        axis.

    Raises
    ------
    ValueError
        A concentration that is not positive and finite; from the initialiser, a shape
        without the axis or with another number of labels on it.

    Examples
    --------
    >>> import jax
    >>> weights = Dirichlet(100.0)(jax.random.key(0), (4, 1000))
    >>> print(weights.mean(1).round(2))
    [0.25 0.25 0.25 0.25]
    """

    concentration: Fixed = 100.0
    axis: int = -2
    domain: Domain | None = None

    def __post_init__(self) -> None:
        values = np.asarray(self.concentration)
        # Of text and truth values nothing is finite or not.
        numeric = values.dtype.kind in "iuf"
        if values.ndim > 1 or not numeric or not (np.isfinite(values) & (values > 0)).all():
            raise ArgumentError(
                "concentration",
                "should be positive and finite, one or one for each label, got "
                f"{self.concentration!r}",
            )
        object.__setattr__(self, "concentration", fixed(values))
        if self.domain is None:
            object.__setattr__(self, "domain", Simplex(axis=self.axis))

    def __call__(
        self, key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None
    ) -> jax.Array:
        """Return an array of the given shape."""
        wanted = check_real(dtype)
        if not -len(shape) <= self.axis < len(shape):
            raise ArgumentError("shape", f"should have the axis {self.axis}, got {tuple(shape)}")
        axis = self.axis % len(shape)
        labels = shape[axis]
        given = np.asarray(self.concentration)
        if given.ndim == 1 and given.size != labels:
            raise ArgumentError(
                "concentration",
                f"has {given.size} values, but `shape` {tuple(shape)} has {labels} labels "
                f"on axis {self.axis}",
            )
        # `jax.random.dirichlet` draws along the last axis, for a batch of the other axes.
        rest = tuple(size for i, size in enumerate(shape) if i != axis)
        if labels == 0:
            return place(jnp.zeros(shape, wanted), out_sharding)
        alpha = jnp.broadcast_to(jnp.asarray(given, wanted), (labels,))
        return place(
            jnp.moveaxis(jax.random.dirichlet(key, alpha, rest, wanted), -1, axis), out_sharding
        )


def dirichlet_atlas(
    geometry: Mapping[str, Geometry] | Atlas,
    *,
    n_parcels: int | Mapping[str, int] | None = None,
    concentration: Any = 100.0,
    key: jax.Array,
    fwhm: float | int | None = None,
    name: str = "dirichlet",
    space: str = "",
) -> Atlas:
    """Return an atlas of random memberships: at each location a draw from a Dirichlet distribution.

    Parameters
    ----------
    geometry
        Compartment to `VolumeGrid` or `SurfaceMesh`; or an atlas, whose geometry and
        space are taken.
    n_parcels
        Number of parcels of every compartment, or of each; 0 leaves a compartment empty.
        With an atlas by default its own numbers.
    concentration
        As of `Dirichlet`, for every compartment, or a mapping with one for each.
    key
        Each compartment draws with a key folded from this one and its name.
    fwhm
        Width in mm of a Gaussian with which the maps are smoothed, for memberships that
        vary slowly in space. Smoothing averages: means and sums stay, variances shrink.
    name, space
        Of the new atlas.

    Returns
    -------
    Atlas
        Dense float32 maps; the weights of each location of a compartment with parcels sum to 1.

    Raises
    ------
    ValueError
        Numbers of parcels that are missing, negative, fractions, zero everywhere, or of an
        unknown compartment; and what `Dirichlet` and `atlasinit.smooth` raise.
    TypeError
        A geometry without the name of its compartment; a `key` that is none.

    Examples
    --------
    >>> import jax
    >>> import numpy as np
    >>> from atlasinit import VolumeGrid
    >>> grid = VolumeGrid((5, 5, 4), np.eye(4))
    >>> atlas = dirichlet_atlas({"volume": grid}, n_parcels=3, key=jax.random.key(0))
    >>> atlas.maps["volume"].values.shape
    (3, 100)
    """
    if isinstance(geometry, Atlas):
        space = space or geometry.space
        if n_parcels is None:
            n_parcels = {c: m.n_parcels for c, m in geometry.maps.items()}
        geometry = geometry.geometry
    geometry, key = check_geometries(geometry), check_key(key)
    counts = _counts(geometry, n_parcels)
    levels = by_compartment(concentration, geometry, "concentration")
    maps = {}
    for c, count in counts.items():
        draw = Dirichlet(levels[c])
        maps[c] = DenseMaps(draw(named_key(key, c), (count, geometry[c].n_locations), jnp.float32))
    levels_text = concentration if np.ndim(concentration) == 0 else "per label"
    atlas = Atlas(
        name=name,
        space=space,
        maps=maps,
        geometry=geometry,
        labels=numbered_labels(counts),
        provenance=Provenance(
            source="random", operations=(f"dirichlet_atlas(concentration={levels_text})",)
        ),
    )
    if fwhm is None:
        return atlas
    from atlasinit.smoothing import smooth

    # Averages of distributions are distributions; what is normalised is their rounding.
    return smooth(atlas, fwhm=fwhm).normalize(per="location")


def _counts(geometry: Mapping[str, Geometry], n_parcels: Any) -> dict[str, int]:
    if n_parcels is None:
        raise ArgumentError("n_parcels", "should be given, as 100 or {'cortex_L': 100, ...}")
    counts = count_parcels(n_parcels, geometry, least=0)
    if not any(counts.values()):
        raise ArgumentError("n_parcels", f"should be numbers, not all of them 0, got {counts}")
    return counts
