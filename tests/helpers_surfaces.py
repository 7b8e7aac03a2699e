"""Synthetic cortices with voxels that CIFTI can hold, and what a round trip gives back."""

import dataclasses

import numpy as np
from helpers import mixed_atlas

import atlasinit as ai
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.input import Input
from atlasinit.io.options import ReadOptions
from atlasinit.io.stacking import read_sources

SUBCORTEX = (("CIFTI_STRUCTURE_THALAMUS_LEFT", 4), ("CIFTI_STRUCTURE_BRAIN_STEM", 3))


def brain_atlas(**changes):
    """Return `mixed_atlas` with CIFTI structures; hemispheres of parcels as their names state."""
    atlas = mixed_atlas()
    grid = atlas.geometry["subcortex"]
    assert isinstance(grid, ai.VolumeGrid)
    columns = {name: list(atlas.table[name]) for name in atlas.table.columns}
    columns["hemisphere"][-2:] = ["L", "R"]
    columns |= changes
    return ai.Atlas(
        name="mixed é <&>",
        space="fsLR",
        maps=atlas.maps,
        geometry=atlas.geometry
        | {"subcortex": ai.VolumeGrid(grid.shape, grid.affine, grid.voxels, SUBCORTEX)},
        labels=ai.LabelTable(columns),
        provenance=dataclasses.replace(
            atlas.provenance, files=(("a.gii", "0" * 64),), operations=("smooth(fwhm=6.0)",)
        ),
    )


def cortex_atlas(**changes):
    """Return the two hemispheres of `brain_atlas`."""
    return brain_atlas(**changes).select(compartments=["cortex_L", "cortex_R"])


def contents(given, compartment=None, **options):
    """Return what one file, or image in memory, holds of an atlas."""
    stated = ReadOptions(**options).with_defaults()
    (found,) = read_sources([Input(given)], compartment, stated, hashed=False)
    return found


def read_back(paths, **options):
    """Return the atlas of files, with name, space and provenance of their header."""
    found = [contents(path, **options) for path in paths]
    parts = [part for one in found for part in one.parts]
    header = found[0].header
    return assemble(parts, name=header.name, space=header.space, provenance=header.provenance)


def assert_equal(left, right):
    """Check that two atlases say the same, in whatever representation."""
    assert left.table == right.table
    assert left.geometry == right.geometry
    assert (left.name, left.space) == (right.name, right.space)
    assert left.provenance == right.provenance
    for name in left.compartments:
        np.testing.assert_array_equal(left.maps[name].to_dense(), right.maps[name].to_dense())


def read(path, **options):
    """Return the parts of one file by compartment."""
    return {part.compartment: part for part in contents(path, **options).parts}


def rows(part):
    """Return the label rows of a part, which must have some."""
    assert part.rows is not None
    return part.rows
