"""Warnings point at the line outside of the package that led to them."""

import nibabel as nb
import numpy as np
import pytest
from helpers import table

import atlasinit as ai


def alike(key=None):
    """Return an atlas of two parcels with nearly the same weights."""
    weights = np.random.default_rng(0).random((2, 60), np.float32)
    weights[1] = weights[0] + np.float32(0.01) * weights[1]
    labels = table(["volume"] * 2)
    columns = {name: labels[name] for name in labels.columns}
    return ai.Atlas(
        name="alike",
        space="MNI152NLin6Asym",
        maps={"volume": ai.DenseMaps(weights)},
        geometry={"volume": ai.VolumeGrid((5, 4, 3), np.eye(4))},
        labels=ai.LabelTable(columns | ({} if key is None else {"key": key})),
        provenance=ai.Provenance(licence="CC0"),
    )


def least_squares(folder):
    return ai.project(alike(), np.ones((60, 1), np.float32), reduction="lstsq")


def estimator(folder):
    data = nb.Nifti1Image(np.ones((5, 4, 3, 2), np.float32), np.eye(4))
    return ai.AtlasMasker(alike(), reduction="lstsq").fit_transform(data)


def layer(folder):
    return ai.AtlasLinear.from_atlas(alike(), reduction="lstsq", trainable=False)


def image(folder):
    return ai.save_atlas(alike(key=[0, 1]).harden(), folder / "x.nii.gz")


def dataset(folder):
    return ai.save_atlas(alike(key=[0, 1]).harden(), folder / "x", format="bids")


def smoothed(folder):
    return ai.smooth(alike(), sigma=0.05)


@pytest.mark.parametrize("call", [least_squares, estimator, layer, image, dataset, smoothed])
def test_warnings_point_at_who_calls(tmp_path, call):
    with pytest.warns(ai.AtlasWarning) as told:
        call(tmp_path)
    (warning,) = told
    # What warns is the last line of each.
    lines = max(line for *_, line in call.__code__.co_lines() if line is not None)
    assert (warning.filename, warning.lineno) == (__file__, lines)
