"""Wherever values of parcels are taken, those that carry names land on the parcels of these names."""

import io

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers_surfaces import brain_atlas, cortex_atlas

import atlasinit as ai
from atlasinit.io import write_parcellated


def painted(atlas, values):
    return np.concatenate(list(ai.AtlasMasker(atlas).fit().inverse_transform(values).values()))


def projected_back(atlas, values):
    # Of plain arrays, those of the masker have their parcels last.
    arrays = isinstance(values, np.ndarray) and values.ndim == 2
    return np.asarray(ai.back_project(atlas, values.T if arrays else values))


def parcellated(atlas, values, tmp_path):
    path = tmp_path / "x.ptseries.nii"
    arrays = isinstance(values, np.ndarray) and values.ndim == 2
    write_parcellated(values.T if arrays else values, atlas, path, overwrite=True)
    return nb.load(path).get_fdata()


@pytest.mark.parametrize("door", ["masker", "back_project", "write_parcellated"])
@pytest.mark.parametrize("n_time", [3, "as many as parcels"])
def test_series_and_maps(door, n_time, tmp_path):
    atlas = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49]).harden().drop_empty()
    through = {
        "masker": painted,
        "back_project": projected_back,
        "write_parcellated": lambda a, v: parcellated(a, v, tmp_path),
    }[door]
    names, n = list(atlas.table["name"]), atlas.n_parcels
    count = n if n_time != 3 else 3
    array = np.random.default_rng(0).normal(size=(count, n)).astype(np.float32)
    frame = pd.DataFrame(array, columns=names)
    expected = through(atlas, array)
    for given in (frame, frame[names[::-1]], frame.T[::-1]):
        np.testing.assert_array_equal(through(atlas, given), expected)
    one = through(atlas, array[0])
    series = pd.Series(array[0], names).sort_index()
    for given in (
        series,
        dict(series),
        series.rename(dict(zip(names, atlas.table["key"], strict=True))),
    ):
        np.testing.assert_array_equal(through(atlas, given), one)
    with pytest.raises(ValueError, match="Did you mean"):
        through(atlas, series.rename({names[0]: names[0] + "x"}))


def test_mean_by_group(tmp_path):
    """A table that pandas' groupby sorted by name is painted as it was before."""
    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    names = atlas.labels["name"]
    means = (
        pd.DataFrame({"region": names[::-1], "t": np.arange(68.0)}).groupby("region")["t"].mean()
    )
    assert list(means.index) != list(names)
    np.testing.assert_array_equal(painted(atlas, means), painted(atlas, means[names].to_numpy()))


def rows_of_another_order(frame):
    return frame.sort_values("t")


def rows_left_out(frame):
    # What is left has the numbers 1, 2, ..., which are keys, too.
    return frame[frame["t"] < frame["t"].max()]


def titles_of_two_levels(frame):
    rest = [c for c in frame if c != "t"]
    return frame.groupby(rest).agg(["mean"]).reset_index()


@pytest.mark.parametrize("told", [["name"], ["key"], ["compartment", "key"]])
@pytest.mark.parametrize("make", [rows_of_another_order, rows_left_out, titles_of_two_levels])
def test_a_column_tells_parcels_whatever_numbers_rows_have(tmp_path, make, told):
    keys = np.arange(24).reshape(2, 3, 4)
    image = nb.Nifti1Image(keys.astype(np.int16), np.eye(4))
    atlas = ai.load_atlas(image, space="x", labels={i: f"p{24 - i}" for i in range(1, 24)})
    values = np.arange(23.0, 0, -1)
    frame = make(atlas.labels[told].assign(t=values))
    (path,) = ai.save_values(frame, atlas, tmp_path / "x.nii", absent="nan")
    expected = np.concatenate([[np.nan], values]).reshape(2, 3, 4)
    if make is rows_left_out:
        expected[expected == 23] = np.nan
    np.testing.assert_array_equal(np.squeeze(nb.load(path).get_fdata()), expected)


def test_pictures():
    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5").select(compartments="cortex_L")
    values = pd.Series(np.arange(34.0), atlas.labels["name"])

    def pixels(given):
        out = io.BytesIO()
        ai.plot_atlas(atlas, given).savefig(out, format="raw", dpi=30)
        return out.getvalue()

    expected = pixels(values.to_numpy())
    assert pixels(values[::-1]) == expected == pixels(dict(values[::-1]))
    assert pixels(values[::-1].set_axis(values.index)) != expected
    frame = pd.DataFrame({"t": values, "p": -values})
    titles = [part.get_suptitle() for part in ai.plot_atlas(atlas, frame[::-1]).subfigs]
    assert titles == [atlas.name, "t", "p"]


def test_report():
    atlas = cortex_atlas()
    names = list(atlas.table["name"])
    series = pd.DataFrame(np.random.default_rng(0).normal(size=(9, len(names))), columns=names)
    values = pd.Series(np.arange(len(names)) + 0.5, names, name="t")
    expected = ai.generate_report(atlas, series=series.to_numpy(), values={"t": values.to_numpy()})
    for given in (values[::-1], values[::-1].to_frame(), {"t": values[::-1]}, {"t": dict(values)}):
        found = ai.generate_report(atlas, series=series[names[::-1]], values=given)
        assert found.html == expected.html
    with pytest.raises(ValueError, match="`series`: no parcels are named 'x'"):
        ai.generate_report(atlas, series=series.rename(columns={names[0]: "x"}))
