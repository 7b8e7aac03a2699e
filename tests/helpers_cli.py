"""The command line, run in this process, and small files for it."""

import sys
from pathlib import Path
from unittest import mock

import nibabel as nb
import numpy as np
import pytest

from atlasinit.cli import main


def run_cli(capsys, *arguments):
    """Return (status, output, errors) of ``atlasinit`` with the arguments."""
    with mock.patch.object(sys, "argv", ["atlasinit", *map(str, arguments)]):
        with pytest.raises(SystemExit) as stop:
            main()
    shown = capsys.readouterr()
    return stop.value.code or 0, shown.out, shown.err


def write_labels(folder: Path):
    """Write a small label image, its table and data on its grid; return labels and data."""
    values = np.zeros((4, 5, 6), np.int16)
    values[1:3, 1:4, 2:5] = 3
    values[0, 0, 0] = 7
    affine = np.diag([-2.0, 2, 2, 1])
    nb.save(nb.Nifti1Image(values, affine), folder / "dseg.nii.gz")
    (folder / "dseg.tsv").write_text("index\tname\n3\tbox\n7\tcorner\n")
    data = np.random.default_rng(0).normal(size=(4, 5, 6, 9)).astype(np.float32)
    nb.save(nb.Nifti1Image(data, affine), folder / "bold.nii.gz")
    return values, data
