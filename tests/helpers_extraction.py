"""A small dataset as fMRIPrep writes it: volumes and CIFTI, confounds, masks, sidecars."""

import json
from pathlib import Path

import nibabel as nb
import numpy as np
import pandas as pd
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis

import atlasinit as ai

SHAPE = (4, 5, 6)
AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
SPACE = "MNI152NLin6Asym"
T_R = 2.0
N_TIME = 60


def volume_atlas(name="cubes", space=SPACE, n=3, shape=SHAPE):
    """Return an atlas of slabs along the last axis, but for its first plane."""
    labels = np.full(shape, -1, np.int32)
    for i in range(n):
        labels[..., 1 + i] = i
    names = [f"slab {i}" for i in range(n)]
    return ai.Atlas(
        name=name,
        space=space,
        maps={"volume": ai.HardMaps(labels.reshape(-1), n)},
        geometry={"volume": ai.VolumeGrid(shape, AFFINE)},
        labels=_table(["volume"] * n, names),
        provenance=ai.Provenance(source="files", licence="CC0"),
    )


def surface_atlas(name="halves", space="fsLR", vertices=12):
    """Return an atlas of two parcels in each hemisphere."""
    half = (np.arange(vertices) >= vertices // 2).astype(np.int32)
    compartments = ["cortex_L", "cortex_R"]
    return ai.Atlas(
        name=name,
        space=space,
        maps={c: ai.HardMaps(half, 2) for c in compartments},
        geometry={c: ai.SurfaceMesh(vertices, hemisphere=c[-1]) for c in compartments},
        labels=_table([c for c in compartments for _ in range(2)], ["L_a", "L_b", "R_a", "R_b"]),
        provenance=ai.Provenance(source="files", licence="CC0"),
    )


def _table(compartments, names):
    sides = [c[-1] if c.endswith(("_L", "_R")) else "" for c in compartments]
    return ai.LabelTable(
        {
            "compartment": compartments,
            "key": list(range(1, len(names) + 1)),
            "name": names,
            "color": ["#204060"] * len(names),
            "hemisphere": sides,
        }
    )


def write_confounds(path: Path, n_time: int, seed: int):
    """Write a table with the columns that nilearn's strategies ask for; return it."""
    rng = np.random.default_rng(seed)
    motion = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    titles = [f"{m}{end}" for m in motion for end in ("", "_power2")]
    derived = [f"{m}_derivative1{end}" for m in motion for end in ("", "_power2")]
    titles += ["csf", "white_matter", "global_signal", "cosine00", *derived]
    frame = pd.DataFrame(rng.normal(size=(n_time, len(titles))), columns=titles)
    frame["framewise_displacement"] = rng.uniform(0, 0.3, n_time)
    frame["std_dvars"] = rng.uniform(0.8, 1.2, n_time)
    frame.loc[5, "framewise_displacement"] = 0.9
    frame.loc[0, [*derived, "framewise_displacement", "std_dvars"]] = np.nan
    frame.to_csv(path, sep="\t", index=False, na_rep="n/a")
    path.with_suffix(".json").write_text("{}")
    return frame


def make_run(folder: Path, stem: str, seed: int, *, n_time=N_TIME, cifti=True, volumes=True):
    """Write the files of one run; return its volume (x, y, z, time)."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    data = (100 + rng.normal(size=(*SHAPE, n_time))).astype(np.float32)
    data[0, 0, 1] = 0  # outside of the field of view
    write_confounds(folder / f"{stem}_desc-confounds_timeseries.tsv", n_time, seed)
    if volumes:
        image = nb.Nifti1Image(data, AFFINE)
        image.header.set_zooms((2, 2, 2, T_R))
        image.header.set_xyzt_units("mm", "sec")
        place = f"{stem}_space-{SPACE}_res-2"
        nb.save(image, folder / f"{place}_desc-preproc_bold.nii.gz")
        (folder / f"{place}_desc-preproc_bold.json").write_text(json.dumps({"RepetitionTime": T_R}))
        mask = np.ones(SHAPE, np.uint8)
        mask[:, 0, 2] = 0
        nb.save(nb.Nifti1Image(mask, AFFINE), folder / f"{place}_desc-brain_mask.nii.gz")
    if cifti:
        write_cifti(folder / f"{stem}_space-fsLR_den-91k_bold.dtseries.nii", seed, n_time)
    return data


def write_cifti(path: Path, seed: int, n_time=N_TIME):
    """Write grayordinates of two small cortices; return them (time, grayordinates)."""
    models = [
        BrainModelAxis.from_mask(np.ones(12, bool), name=f"CORTEX_{side}")
        for side in ("LEFT", "RIGHT")
    ]
    axes = (SeriesAxis(0, T_R, n_time), models[0] + models[1])
    rows = np.random.default_rng(seed).normal(size=(n_time, 24)).astype(np.float32)
    rows[:, 3] = 0
    image = Cifti2Image(rows, header=axes)
    image.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_SERIES")
    image.to_filename(path)
    return rows


def make_dataset(root: Path, participants=("01", "02"), **options):
    """Write a dataset of a run for each participant; return run name to its volume."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text(
        json.dumps({"Name": "made", "BIDSVersion": "1.9.0", "DatasetType": "derivative"})
    )
    found = {}
    for seed, label in enumerate(participants):
        stem = f"sub-{label}_task-rest_run-1"
        found[stem] = make_run(root / f"sub-{label}" / "func", stem, seed, **options)
    return found
