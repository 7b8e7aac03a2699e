"""Atlases as layers of Equinox models."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import paramax
from jaxtyping import Array, Float, PRNGKeyArray

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh
from atlasinit.core.header import AtlasHeader
from atlasinit.core.labels import LabelTable
from atlasinit.core.maps import Maps
from atlasinit.core.provenance import Provenance
from atlasinit.domains import Domain, Simplex, constrained, unwrap
from atlasinit.domains.base import check_domain
from atlasinit.domains.pinned import pin
from atlasinit.errors import ArgumentError
from atlasinit.layer_starts import (
    add_noise,
    check_noisy,
    choose_frozen,
    choose_maps,
    choose_trained,
    compute_now,
    copy_arrays,
    plan_maps,
)
from atlasinit.projection.api import reduce
from atlasinit.projection.blocks import Block, merge_blocks
from atlasinit.projection.checks import check_options
from atlasinit.projection.lstsq import add_basis, make_solver
from atlasinit.projection.reductions import Reduction, find_reduction
from atlasinit.projection.remembered import plan_kernels
from atlasinit.projection.stack import Plan, build_stack
from atlasinit.support.numbers import check_whole_number


class AtlasLinear(eqx.Module):
    """A linear layer whose weights are the maps of an atlas: data to parcel values.

    Calling it is `atlasinit.project` with weights that can be trained. Made by
    `from_atlas`. Its header (labels, geometry and provenance) is static.

    Parameters
    ----------
    maps
        For each compartment its maps, or a node that `atlasinit.domains.unwrap`
        resolves to maps: constrained to a domain, frozen, or both.
    header
        What of the atlas is no array.
    reduction, missing, min_coverage, empty, ridge, kernel
        As for `project`.
    concatenate
        Whether a call returns the rows of all compartments in table order, or a
        dictionary from compartment to its rows.
    """

    maps: tuple[Any, ...]
    _blocks: tuple[Block, ...]
    # How the kernels lay the maps out: where weights are, which training does not move.
    _plans: tuple[Plan, ...]
    _solver: Any
    header: AtlasHeader = eqx.field(static=True)
    reduction: Reduction = eqx.field(static=True)
    missing: str = eqx.field(static=True)
    min_coverage: float = eqx.field(static=True)
    # None for NaN, which does not equal the NaN of a copy: equal layers compile once.
    _empty: float | None = eqx.field(static=True)
    ridge: float = eqx.field(static=True)
    kernel: str = eqx.field(static=True)
    concatenate: bool = eqx.field(static=True)

    @classmethod
    def from_atlas(
        cls,
        atlas: Atlas,
        *,
        domain: Domain | None = None,
        trainable: bool | Iterable[str] = True,
        frozen_parcels: Iterable[str] = (),
        frozen_locations: Any = None,
        dense: bool = False,
        noise: float = 0.0,
        reduction: Any = "mean",
        missing: str = "propagate",
        min_coverage: float = 0.0,
        empty: float = float("nan"),
        ridge: float = 0.0,
        kernel: str = "auto",
        concatenate: bool = True,
        key: PRNGKeyArray | None = None,
    ) -> "AtlasLinear":
        """Return a layer that starts as an atlas.

        Parameters
        ----------
        atlas
            The atlas. Sparse maps train the weights they store, dense maps all; hard
            maps have no weights to train unless a `domain` or `dense` makes them dense.
        domain
            Constrains the weights, as ``domains.Simplex(purity=0.99)`` to memberships.
        trainable
            Whether gradients reach the weights, or the compartments where they do (or a mapping
            from compartment to whether they do). What they do not reach is in
            ``paramax.NonTrainable``; weight decay would move it all the same, unless the
            optimiser gets only ``eqx.filter(layer, eqx.is_inexact_array,
            is_leaf=lambda node: isinstance(node, paramax.NonTrainable))``.
        frozen_parcels
            Names of parcels whose weights stay as they start, whatever the optimiser does. The
            memberships of a `Simplex` that are trained share what these leave of a location.
        frozen_locations
            Where no weight is trained: true in (locations,) of all compartments in the atlas's
            order, or in a mapping from compartment to such arrays.
        dense
            Make every weight of every compartment a parameter.
        noise
            Standard deviation of Gaussian noise added to the free values that are
            trained, to break ties. Needs `key`, and values: hard labels have none.
        reduction, missing, min_coverage, empty, ridge, kernel
            As for `project`.
        concatenate
            As in the class.
        key
            Random key for `noise`.

        Raises
        ------
        ValueError
            As `project`; an unknown compartment or parcel; `frozen_locations` of another
            shape; a negative `noise`, one without `key`, or one of compartments that stay hard
            labels or of none that is trained.
        TypeError
            An `atlas` that is none, such as its name, a `domain` that is none, or one that
            cannot keep single weights.

        Examples
        --------
        >>> import jax, numpy as np, atlasinit as ai
        >>> atlas = ai.Atlas(
        ...     name="halves", space="line",
        ...     maps={"volume": ai.HardMaps(np.array([0, 0, 1], np.int32), 2)},
        ...     geometry={"volume": ai.VolumeGrid((3, 1, 1), np.eye(4), np.arange(3))},
        ...     labels=ai.LabelTable({
        ...         "compartment": ["volume"] * 2, "key": [1, 2], "name": ["a", "b"],
        ...         "color": [""] * 2, "hemisphere": [""] * 2}),
        ... )
        >>> AtlasLinear.from_atlas(atlas)(jax.numpy.array([[1.0], [3.0], [5.0]])).tolist()
        [[2.0], [5.0]]
        """
        check_atlas(atlas)
        if domain is not None:
            check_domain(domain)
        trained = choose_trained(atlas, trainable=trainable)
        frozen = choose_frozen(atlas, frozen_parcels, frozen_locations)
        if not (math.isfinite(noise) and noise >= 0):
            raise ArgumentError("noise", f"should be 0 or more and finite, got {noise}")
        if noise and key is None:
            raise ArgumentError("noise", "needs a random `key`")
        if noise:
            check_noisy(atlas, trained, dense=dense, hard=domain is None)
        wanted = _check_reduction(reduction)
        with compute_now(atlas):
            maps = choose_maps(atlas, dense=dense, hard=domain is None)
            check_options(
                maps, reduction=wanted, missing=missing, min_coverage=min_coverage, ridge=ridge
            )
            maps, blocks, plans = copy_arrays(
                plan_maps(atlas, maps, kernel=wanted.kernel or kernel)
            )
            constraint = (lambda m: m) if domain is None else partial(constrained, domain=domain)
            nodes = dict(zip(atlas.compartments, map(constraint, maps), strict=True))
            start = dict(nodes)
            # Least squares of weights that no gradient changes: what inverts them is found once.
            inverse = None
            if wanted.solve and not trained:
                merged = merge_blocks(blocks, unwrap(list(nodes.values())))
                solver = make_solver(merged, atlas.table["name"], ridge=ridge)
                inverse = paramax.NonTrainable(copy_arrays(add_basis(solver, merged)))
        if noise and key is not None:
            # A key for each compartment, also for those that are not trained: the noise of one does
            # not depend on which others are.
            keys = dict(zip(nodes, jr.split(key, len(nodes)), strict=True))
            nodes |= {c: add_noise(nodes[c], noise, keys[c]) for c in nodes if c in trained}
        with compute_now(atlas):
            nodes |= {
                c: pin(nodes[c], start[c], parcels=parcels, locations=locations)
                for c, (parcels, locations) in frozen.items()
                if c in trained
            }
        return cls(
            maps=tuple(
                # Around the constraint: gradients stop at the weights, short of the free values.
                node if c in trained else paramax.NonTrainable(node)
                for c, node in nodes.items()
            ),
            _blocks=blocks,
            _plans=plans,
            _solver=inverse,
            header=atlas.header,
            reduction=wanted,
            missing=missing,
            min_coverage=min_coverage,
            _empty=_keep_empty(empty),
            ridge=ridge,
            kernel=kernel,
            concatenate=concatenate,
        )

    @classmethod
    def from_dirichlet(
        cls,
        geometry: Mapping[str, Geometry] | Atlas,
        *,
        n_parcels: int | Mapping[str, int] | None = None,
        concentration: Any = 100.0,
        domain: Domain | None = None,
        reduction: Any = "mean",
        empty: float = float("nan"),
        concatenate: bool = True,
        key: PRNGKeyArray,
    ) -> "AtlasLinear":
        """Return a layer of random memberships: `from_atlas` of `atlasinit.dirichlet_atlas`.

        Parameters
        ----------
        geometry, n_parcels, concentration, key
            As for `dirichlet_atlas`.
        domain
            Constrains the weights; by default ``domains.Simplex()``, whose memberships sum
            to 1 at each location.
        reduction, empty, concatenate
            As for `from_atlas`.

        Examples
        --------
        >>> import jax, numpy as np, atlasinit as ai
        >>> geometry = {"volume": ai.VolumeGrid((5, 5, 4), np.eye(4))}
        >>> layer = AtlasLinear.from_dirichlet(geometry, n_parcels=3, key=jax.random.key(0))
        >>> layer(jax.numpy.ones((100, 2))).shape
        (3, 2)
        """
        # Imported when it is drawn from: it costs ten modules that other layers do not need.
        from atlasinit.initializers import dirichlet_atlas

        atlas = dirichlet_atlas(geometry, n_parcels=n_parcels, concentration=concentration, key=key)
        return cls.from_atlas(
            atlas,
            domain=Simplex() if domain is None else domain,
            reduction=reduction,
            empty=empty,
            concatenate=concatenate,
        )

    @classmethod
    def from_sizes(
        cls,
        n_locations: Mapping[str, int],
        n_parcels: int | Mapping[str, int],
        *,
        concentration: Any = 50.0,
        domain: Domain | None = None,
        reduction: Any = "mean",
        empty: float = float("nan"),
        concatenate: bool = True,
        key: PRNGKeyArray,
    ) -> "AtlasLinear":
        """Return a layer of random memberships of so many locations, whose places are not known.

        hypercoil's call is ``AtlasLinear(n_locations, n_labels, key=key)``, whose concentration
        is 50 too. The geometry of each compartment is a mesh without coordinates.

        Parameters
        ----------
        n_locations
            Compartment to its number of locations.
        n_parcels
            Number of parcels of every compartment, or of each.
        concentration, domain, reduction, empty, concatenate, key
            As for `from_dirichlet`.

        Raises
        ------
        ValueError, TypeError
            What is no whole number from 1 of locations, or from 0 of parcels.

        Examples
        --------
        >>> import jax
        >>> layer = AtlasLinear.from_sizes({"left": 40, "right": 50}, 3, key=jax.random.key(0))
        >>> layer(jax.numpy.ones((90, 2))).shape
        (6, 2)
        """
        sizes = {
            c: check_whole_number(n, f"n_locations[{c!r}]", least=1) for c, n in n_locations.items()
        }
        return cls.from_dirichlet(
            {c: SurfaceMesh(n) for c, n in sizes.items()},
            n_parcels=n_parcels,
            concentration=concentration,
            domain=domain,
            reduction=reduction,
            empty=empty,
            concatenate=concatenate,
            key=key,
        )

    @property
    def empty(self) -> float:
        """Value of parcels without weight."""
        return math.nan if self._empty is None else self._empty

    @property
    def name(self) -> str:
        """Name of the atlas that it started from."""
        return self.header.name

    @property
    def space(self) -> str:
        """Space of the atlas that it started from."""
        return self.header.space

    @property
    def provenance(self) -> Provenance:
        """Source and history of the atlas that it started from."""
        return self.header.provenance

    @property
    def compartments(self) -> tuple[str, ...]:
        """Names of the compartments, in the order of the output rows."""
        return self.header.compartments

    @property
    def table(self) -> LabelTable:
        """The label table: one row per parcel, in the order of the output rows."""
        return self.header.table

    @property
    def n_parcels(self) -> int:
        """Number of parcels of all compartments."""
        return self.header.n_parcels

    @property
    def n_locations(self) -> int:
        """Number of locations of all compartments."""
        return self.header.n_locations

    def weights(self) -> dict[str, Maps]:
        """Return compartment to the maps that the layer computes with."""
        return dict(zip(self.compartments, unwrap(self.maps), strict=True))

    def __call__(
        self,
        data: Any,
        *,
        reduction: Any = None,
        missing: str | None = None,
        min_coverage: float | None = None,
        empty: float | None = None,
        ridge: float | None = None,
        concatenate: bool | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "..."] | dict[str, Float[Array, "..."]]:
        """Return parcel values of data (..., locations, time), as `project` does.

        Parameters
        ----------
        data
            As for `project`.
        reduction, missing, min_coverage, empty, ridge, concatenate
            For this call; by default the layer's own.
        key
            Ignored; for `equinox.nn.Sequential`.

        Raises
        ------
        ValueError
            As `project`.
        """
        del key
        # Unwrapped in each call, so that its gradients reach the free values.
        maps = unwrap(self.maps)
        options = {
            "reduction": reduction,
            "missing": missing,
            "min_coverage": min_coverage,
            "empty": empty,
            "ridge": ridge,
            "concatenate": concatenate,
        }
        asked = {name: value for name, value in options.items() if value is not None}
        return (self._change(asked, maps) if asked else self)._compute(maps, data)

    def _change(self, asked: dict[str, Any], maps: tuple[Maps, ...]) -> "AtlasLinear":
        """Return the layer with other options, for one call."""
        reduction = _check_reduction(asked.pop("reduction", self.reduction))
        if "empty" in asked:
            asked["_empty"] = _keep_empty(asked.pop("empty"))
        new = dataclasses.replace(self, reduction=reduction, **asked)
        check_options(
            maps,
            reduction=reduction,
            missing=new.missing,
            min_coverage=new.min_coverage,
            # Another reduction has no use for the layer's own.
            ridge=new.ridge if reduction.solve or "ridge" in asked else 0.0,
        )
        # What was found once inverts the weights for one ridge.
        same = reduction.solve and new.ridge == self.ridge
        plans = new._plans
        if reduction.kernel is not None:
            merged = merge_blocks(new._blocks, maps)
            geometries = new.header.geometries
            plans = plan_kernels(new._blocks, merged, geometries, kernel=reduction.kernel)
        return dataclasses.replace(new, _solver=self._solver if same else None, _plans=plans)

    def _compute(
        self, maps: tuple[Maps, ...], data: Any
    ) -> Float[Array, "..."] | dict[str, Float[Array, "..."]]:
        sizes = [g.n_locations for g in self.header.geometries]
        out = reduce(
            build_stack(merge_blocks(self._blocks, maps), self._plans),
            data,
            reduction=self.reduction,
            missing=self.missing,
            min_coverage=self.min_coverage,
            empty=self.empty,
            ridge=self.ridge,
            solver=unwrap(self._solver),
            compartments=dict(zip(self.compartments, sizes, strict=True)),
        )
        if self.concatenate:
            return out
        # Data (locations,) without time gives (parcels,), whose only axis is the last.
        axis = -1 if out.ndim == 1 else -2
        return {
            c: jax.lax.slice_in_dim(out, rows.start, rows.stop, axis=axis)
            for c, rows in self.header.parcel_slices().items()
        }

    def to_atlas(self) -> Atlas:
        """Return the atlas that the layer has become, to smooth, harden, save or show it."""
        # On the host, since what atlases do next is done there.
        atlas = Atlas.from_header(self.header, jax.device_get(tuple(self.weights().values())))
        return atlas.replace(operation="AtlasLinear")


def _check_reduction(reduction: Any) -> Reduction:
    wanted = find_reduction(reduction)
    if wanted.on_host_only:
        raise ArgumentError(
            "reduction",
            f"{wanted.name!r} is a function of NumPy, which a layer cannot jit",
            "register a `Reduction` with an `xla`, or call `atlasinit.project`",
        )
    return wanted


def _keep_empty(empty: float) -> float | None:
    return None if math.isnan(empty) else empty
