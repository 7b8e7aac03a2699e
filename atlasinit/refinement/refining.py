"""An atlas whose borders fit the data of a person."""

from collections.abc import Iterable
from typing import Any

import jax

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_labels
from atlasinit.core.selection import Parcel
from atlasinit.errors import format_list, warn
from atlasinit.refinement.halves import fit_runs
from atlasinit.refinement.runs import read_runs
from atlasinit.refinement.settings import Progress, make_settings


def refine(
    atlas: Atlas,
    data: Any,
    *,
    key: jax.Array | None = None,
    neighbours: float | int | None = None,
    tether: float | int | None = None,
    halves: bool = False,
    sample_mask: Any = None,
    standardize: bool = True,
    denoise: bool = True,
    frozen: Parcel | Iterable[Parcel] | None = None,
    max_hops: int | None = None,
    max_mm: float | int | None = None,
    fill: bool = False,
    strays: float | int = 0.05,
    min_size: int = 1,
    min_coverage: float | int = 0.0,
    min_volumes: int = 30,
    data_space: str | None = None,
    sweeps: int = 200,
    memberships: bool = False,
    progress: Progress | None = None,
) -> Atlas:
    r"""Return the atlas with its borders moved to fit data: the same parcels, names and keys.

    Each location may go to a parcel that touches it. It is judged by how well the parcel's mean
    explains its series (the location itself left out), with one prior for neighbours that agree
    and one for the parcel that it started in. The series of a parcel are its mean and noise, and
    the mean is integrated out; with sums :math:`S_k` of :math:`n_k` series of norm 1, the log
    evidence that is raised is

    .. math::
        \sum_k \frac{\nu}{2} \left[ \frac{\| S_k \|^2}{\sigma^2 (n_k + \kappa)}
        - \log(1 + n_k / \kappa) \right]
        - \beta \sum_{i \sim j} [\ell_i \ne \ell_j] - \tau \sum_i [\ell_i \ne s_i]

    The variance of the noise :math:`\sigma^2`, its ratio to that of the means :math:`\kappa`,
    and the independent samples :math:`\nu` are estimated from the data at the start, so that
    the weights :math:`\beta` (`neighbours`) and :math:`\tau` (`tether`) are in nats and mean the
    same for every scan. After simulated annealing every move raises the evidence.

    Defaults were chosen by fits to one half of the volumes of one scan (fsaverage5, left
    hemisphere, Desikan-Killiany's parcels and 34, 100 and 200 of Ward's) that other volumes of the
    same half judged. ``benchmarks/bench_refine.py`` shows what they do elsewhere.

    Parcels that compartments share (`Atlas.unite`) have one mean over all of these.

    No parcel breaks into more pieces than it had in a compartment, and none vanishes from one.
    Locations of no parcel stay without, unless `fill`; those without data keep their parcel. Where
    parcels of the start have no more in common than noise would, the compartment is left as it is,
    with a warning.
    Noise that is smooth in space is not told from signal: parcels become even in size, which keeps
    a little more of any smooth data; compare what `assess_halves` says of both.

    The labels are found by choices, so that there are no gradients through them; to train
    borders by gradients use `AtlasLinear`. The sweeps are one jitted program for CPUs and GPUs;
    tables of neighbours and limits are made on the host first.

    Parameters
    ----------
    atlas
        Of labels, on grids or meshes with faces.
    data
        As for `atlasinit.io.open_data`: cleaned series of one run; or a list of runs, of one
        person, or of several for an atlas of the group that each person's can start from. A run
        in which a location has NaN or never changes says nothing about it.
    key
        Of the annealing; by default ``jax.random.key(0)``. The same key gives the same atlas.
    neighbours
        Weight in nats of each pair of neighbours in two parcels; by default 1.
    tether
        Weight in nats of a location that is not in the parcel that it started in; by default
        0.3.
    halves
        Choose the two weights among a few by fitting one half of each run and judging by the
        other, and the reverse; where no choice is better than the start, the atlas is returned as
        it is. Takes 18 fits more.
    sample_mask
        Volumes to use: numbers or booleans, as nilearn's; with a list of runs a list.
    standardize
        Whether each location's series is scaled to the same variance in each run.
    denoise
        Whether series are prepared so that their borders are found again in other data:
        components over time count by the variance that they hold in parts of the volumes that
        they were not found in, and annealing sees each location averaged with its neighbours;
        the last sweeps see each by itself.
    frozen
        Parcels that keep their locations, as for `Atlas.select`.
    max_hops, max_mm
        How far from the border that it had a parcel may grow: in steps between neighbours, or mm
        along edges.
    fill
        Whether locations of no parcel that have data are given to parcels they touch, first.
    strays
        Pieces of at most this share of their parcel in a compartment, other than its largest,
        first join what they touch; 0 keeps them.
    min_size
        Locations that a parcel keeps at least in a compartment; smaller ones lose none.
    min_coverage
        Parcels that have data at a smaller share of their locations keep these, as frozen ones
        do; those without any data always do.
    min_volumes
        The fewest volumes that are accepted.
    data_space
        The space that the data are in, where their names or headers state none or a wrong one.
    sweeps
        The most sweeps.
    memberships
        Return soft maps: the probability of each parcel at a location given the labels of the
        others, for the parcels that it touches.
    progress
        Called with a compartment, a number of sweeps and the most.

    Returns
    -------
    Atlas
        Of int32 labels, or with `memberships` sparse float32 maps whose columns sum to 1. Its
        provenance says what was done.

    Raises
    ------
    ValueError
        A soft atlas, a mesh without faces, too few volumes, data that never change or of
        another space, weights or limits that are negative, parcels that the atlas does not have.
    TypeError
        What is no number, no switch (as text) or no key of JAX (as a seed) where one should be.

    Warns
    -----
    AtlasWarning
        Parcels without locations, which stay empty, or with little data; a compartment whose
        data say nothing about parcels; sweeps that ended before they settled.

    Examples
    --------
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> rng = np.random.default_rng(0)
    >>> grid = ai.VolumeGrid((8, 8, 2), np.eye(4))
    >>> truth = np.repeat([0, 1], 64)
    >>> start = np.where(grid.ijk[:, 0] < 5, 0, 1)
    >>> atlas = ai.Atlas(
    ...     name="two", space="test", geometry={"volume": grid},
    ...     maps={"volume": ai.HardMaps(start, 2)},
    ...     labels=ai.LabelTable({"compartment": ["volume"] * 2, "key": [1, 2],
    ...                           "name": ["a", "b"], "color": ["", ""], "hemisphere": ["", ""]}))
    >>> series = rng.normal(size=(2, 100))[truth] + rng.normal(size=(128, 100))
    >>> fitted = refine(atlas, series)
    >>> print(np.mean(np.asarray(fitted.maps["volume"].labels) == truth))
    1.0
    """
    check_labels(atlas)
    settings = make_settings(
        atlas,
        key=key,
        neighbours=neighbours,
        tether=tether,
        halves=halves,
        standardize=standardize,
        denoise=denoise,
        frozen=frozen,
        max_hops=max_hops,
        max_mm=max_mm,
        fill=fill,
        strays=strays,
        min_size=min_size,
        min_coverage=min_coverage,
        sweeps=sweeps,
        memberships=memberships,
        progress=progress,
    )
    runs = read_runs(
        data, atlas, sample_mask=sample_mask, min_volumes=min_volumes, data_space=data_space
    )
    empty = [n for n, none in zip(atlas.table["name"], atlas.labels["empty"], strict=True) if none]
    if empty:
        warn(
            f"{len(empty)} of {atlas.n_parcels} parcels of {atlas.name!r} have no location and "
            f"stay empty: {format_list(empty)}."
        )
    return fit_runs(atlas, runs, settings)
