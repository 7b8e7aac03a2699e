"""Aliases that name a version set it, and every choice that changes an atlas is told."""

import nibabel as nb
import numpy as np
import pytest

import atlasinit as ai
from atlasinit.catalogue import entry_of, resolve, resolve_name
from atlasinit.catalogue.entries import AXES, catalogue
from atlasinit.support.resources import normalise_name

MEANT = [
    ("AAL3", {}, {"version": "3v2"}),
    ("aal3", {"version": "3v2"}, {"version": "3v2"}),
    ("AAL2", {}, {"version": "AAL2"}),
    ("AAL1", {}, {"version": "SPM12"}),
    ("aal", {}, {"version": "AAL2"}),
    ("aparc.a2009s", {"density": "164k"}, {"version": "2009"}),
    ("aparc.a2005s", {}, {"version": "2005"}),
]


@pytest.mark.parametrize(("name", "stated", "values"), MEANT)
def test_an_alias_that_names_a_version_sets_it(name, stated, values):
    space = "fsaverage" if "aparc" in name else None
    for variant in resolve_name(name, space=space, axes=stated):
        assert {axis: variant.values[axis] for axis in values} == values


AGAINST = [
    ("AAL3", {"version": "AAL2"}, "`version`: 'AAL3' is 'aal' with version='3v2', got 'AAL2'"),
    ("destrieux2009", {"version": "2005"}, "`version`: 'destrieux2009' is 'destrieux' with"),
    ("cc200", {}, "'cc200' names no atlas for certain: .*Load 'craddock2012' with the choices"),
    ("CC400", {"level": 3}, "'CC400' names no atlas for certain"),
]


@pytest.mark.parametrize(("name", "axes", "message"), AGAINST)
def test_a_choice_against_the_name_is_refused(name, axes, message):
    with pytest.raises(ValueError, match=message):
        ai.load_atlas(name, download=False, **axes)


@pytest.mark.parametrize("name", catalogue())
def test_every_alias_with_the_number_of_a_version_has_a_meaning(name):
    """Whatever stands in an alias beside the entry's own name is no value of an axis by chance."""
    entry = catalogue()[name]
    values = {
        normalise_name(str(value))
        for source in entry.sources
        for axis in AXES
        for value in source.axes.get(axis, ())
        if len(set(v for s in entry.sources for v in s.axes.get(axis, ()))) > 1
    }
    for alias in entry.aliases:
        rest = normalise_name(alias).replace(normalise_name(name), "")
        hidden = {value for value in values if value and value == rest.strip("v")}
        assert not hidden or alias in entry.meanings, (alias, hidden)
    for alias, choices in entry.meanings.items():
        assert resolve_name(alias, space=_space_of(entry, choices), axes={})


def _space_of(entry, choices):
    """Return a space that has the choices, where the entry has no default."""
    if "space" in entry.defaults:
        return None
    return next(
        space
        for source in entry.sources
        for space in source.spaces
        if all(value in source.axes.get(axis, ()) for axis, value in choices.items())
    )


def test_the_names_that_mean_nothing_certain_are_no_names():
    for entry in catalogue().values():
        for unclear in entry.unclear:
            with pytest.raises(ValueError, match="names no atlas for certain"):
                entry_of(unclear)
            assert resolve(entry, axes={"level": 3})


# What changes an atlas is in its provenance

VALUES = np.array([0, 1, 2, 3] * 2, np.int16).reshape(2, 2, 2)
MAPS = np.stack([(VALUES == k) / 2 for k in (1, 2)], -1).astype(np.float32)
MAPS[0, 0, 1, 1] = np.nan


@pytest.fixture
def files(tmp_path):
    nb.save(nb.Nifti1Image(VALUES, np.eye(4)), tmp_path / "hard.nii")
    nb.save(nb.Nifti1Image(MAPS, np.eye(4)), tmp_path / "soft.nii")
    nb.save(nb.Nifti1Image(np.nan_to_num(MAPS), np.eye(4)), tmp_path / "clean.nii")
    return tmp_path


TOLD = [
    ("hard.nii", {"background": [0, 3]}, "background(0, 3)"),
    ("hard.nii", {"labels": {1: "A"}, "unlisted": "name"}, "unlisted('name')"),
    ("hard.nii", {"mask": VALUES != 2}, "mask(in memory: 2 labelled locations lost)"),
    ("soft.nii", {"nan": "zero"}, "nan('zero')"),
    ("clean.nii", {"map": 1}, "map(1)"),
    ("clean.nii", {"scale": 2.0}, "scale(2)"),
    ("clean.nii", {"scale": 1}, "scale(1)"),
]


@pytest.mark.parametrize(("file", "options", "operation"), TOLD)
def test_choices_of_reading_are_told(files, file, options, operation):
    atlas = ai.load_atlas(files / file, space="s", **options)
    assert atlas.provenance.operations == (operation,)
    other = ai.load_atlas(files / "clean.nii", space="s")
    assert other.provenance.operations == ()
    assert other != atlas


def test_the_radius_of_spheres_is_told_and_tells_atlases_apart():
    small, wide = (ai.load_atlas("power2011", radius=r, download=False) for r in (4, 5))
    default = ai.load_atlas("power2011", download=False)
    assert small.provenance.operations == ("spheres(radius=4)",)
    assert wide.provenance.operations == default.provenance.operations == ("spheres(radius=5)",)
    assert wide == default
    assert small != wide
    grid = wide.geometry["volume"]
    masked = ai.load_atlas("power2011", mask=ai.VolumeGrid(grid.shape, grid.affine), download=False)
    assert masked.provenance.operations[-1] == "grid(kept locations of a geometry)"
    told = ai.load_atlas("seitzman2018", download=False).provenance.operations
    assert told == ("spheres(radius as stated)",)
