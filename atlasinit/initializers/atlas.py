"""Weights that begin as an atlas."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import to_dense_matrix
from atlasinit.domains import Domain
from atlasinit.errors import ArgumentError
from atlasinit.initializers.apply import named_key
from atlasinit.initializers.protocol import check_real, place


@dataclasses.dataclass(frozen=True, eq=False)  # an atlas has no hash
class AtlasWeights:
    """The maps of an atlas as a weight matrix, for any layer that takes an initialiser.

    For a layer that keeps hard and sparse maps as they are, and one matrix per compartment,
    use `atlasinit.AtlasLinear`.

    Parameters
    ----------
    atlas
        The atlas.
    compartment
        Which compartment. By default all, one block per compartment on the diagonal: rows in
        the order of ``atlas.labels``, columns as ``atlas.location_slices()`` says.
    fwhm
        Full width at half maximum, in mm, of a Gaussian to smooth with first; see
        `atlasinit.smooth`.
    noise
        Standard deviation of normal noise added to every weight within a compartment.
    normalize
        ``"parcel"`` or ``"location"``: make those sum to 1, after smoothing and noise; see
        `atlasinit.Atlas.normalize`.
    layout
        ``"parcels_locations"`` (out, in) as in Equinox, or ``"locations_parcels"`` (in, out)
        as in Flax.
    domain
        Domain to which `initialize` constrains the weights.

    Raises
    ------
    ValueError
        An unknown compartment, layout or normalisation, negative noise; from the
        initialiser, a shape that is not the atlas's.

    Examples
    --------
    >>> import jax
    >>> import numpy as np
    >>> from atlasinit import VolumeGrid, initializers
    >>> grid = VolumeGrid((5, 5, 4), np.eye(4))
    >>> key = jax.random.key(0)
    >>> atlas = initializers.dirichlet_atlas({"volume": grid}, n_parcels=3, key=key)
    >>> init = initializers.AtlasWeights(atlas, layout="locations_parcels")
    >>> init(key, (100, 3)).shape
    (100, 3)
    """

    atlas: Atlas
    compartment: str | None = None
    fwhm: Any = None
    noise: Any = 0.0
    normalize: str | None = None
    layout: str = "parcels_locations"
    domain: Domain | None = None

    def __post_init__(self) -> None:
        if self.compartment is not None and self.compartment not in self.atlas.compartments:
            raise ArgumentError(
                "compartment",
                f"should be one of {list(self.atlas.compartments)}, got {self.compartment!r}",
            )
        if self.layout not in ("parcels_locations", "locations_parcels"):
            raise ArgumentError(
                "layout",
                f'should be "parcels_locations" or "locations_parcels", got {self.layout!r}',
            )
        if self.normalize not in (None, "parcel", "location"):
            raise ArgumentError(
                "normalize", f'should be None, "parcel" or "location", got {self.normalize!r}'
            )
        if not self.noise >= 0:
            raise ArgumentError("noise", f"should not be negative, got {self.noise}")

    @property
    def shape(self) -> tuple[int, int]:
        """The shape that the weights have."""
        parcels, locations = self.atlas.n_parcels, self.atlas.n_locations
        if self.compartment is not None:
            own = self.atlas.maps[self.compartment]
            parcels, locations = own.n_parcels, own.n_locations
        return (parcels, locations) if self.layout == "parcels_locations" else (locations, parcels)

    def __call__(
        self, key: Any, shape: Any = None, dtype: Any = None, out_sharding: Any = None
    ) -> jax.Array:
        """Return the weights; `shape`, if given, has to be the atlas's."""
        wanted = check_real(dtype)
        if shape is not None and tuple(shape) != self.shape:
            raise ArgumentError(
                "shape",
                f"should be {self.shape}, the {self.layout.replace('_', ' x ')} of "
                f"{self.atlas.name!r}, got {tuple(shape)}",
                "For the transpose set `layout`",
            )
        weights = jnp.asarray(self._matrix(key), wanted)
        return place(weights if self.layout == "parcels_locations" else weights.T, out_sharding)

    def _matrix(self, key: Any) -> Float32[jax.Array, "parcels locations"]:
        atlas = self.atlas
        if self.compartment is not None:
            atlas = atlas.select(compartments=self.compartment)
        if self.fwhm is not None:
            from atlasinit.smoothing import smooth

            atlas = smooth(atlas, fwhm=self.fwhm)
        # With noise all that follows depends on the key, and has to be JAX's.
        if self.noise:
            return self._add_noise(atlas, key)
        if self.normalize is not None:
            atlas = atlas.normalize(per=self.normalize)
        return jnp.asarray(to_dense_matrix(atlas.maps.values(), atlas.parcel_slices().values()))

    def _add_noise(self, atlas: Atlas, key: Any) -> Float32[jax.Array, "parcels locations"]:
        """Return the weights with noise, normalised, by JAX: the key may be traced."""
        weights = jnp.asarray(to_dense_matrix(atlas.maps.values(), atlas.parcel_slices().values()))
        rows, columns = atlas.parcel_slices(), atlas.location_slices()
        for c, maps in atlas.maps.items():
            # Off the diagonal blocks, a parcel and a location of different compartments stay apart.
            shape = (maps.n_parcels, maps.n_locations)
            draw = jax.random.normal(named_key(key, c), shape, jnp.float32)
            weights = weights.at[rows[c], columns[c]].add(np.float32(self.noise) * draw)
        if self.normalize is None:
            return weights
        total = weights.sum(1 if self.normalize == "parcel" else 0, keepdims=True)
        return weights / jnp.where(total == 0, 1, total)
