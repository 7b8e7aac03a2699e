"""The pages under docs/: their Python runs, and what they name exists."""

import inspect
import re
import types
from pathlib import Path

import jax
import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import atlasinit as ai

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
BLOCK = re.compile(r"^```python[ ]*(notest)?[ ]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page):
    """Return the Python of a page that is to run, each block padded to its own line numbers."""
    text = page.read_text()
    found = [m for m in BLOCK.finditer(text) if not m[1]]
    return ["\n" * (text[: m.start(2)].count("\n")) + m[2] for m in found]


def preprocessed(folder):
    """Write a run as fMRIPrep does: a pair of surfaces, a volume with its mask, confounds."""
    rng, n = np.random.default_rng(0), 40
    run = folder / "derivatives/fmriprep/sub-01/func/sub-01_task-rest"
    run.parent.mkdir(parents=True)
    for side in "LR":
        values = rng.normal(100, 1, (n, 10242)).astype(np.float32)
        arrays = [nib.gifti.GiftiDataArray(v) for v in values]
        name = f"{run}_hemi-{side}_space-fsaverage5_bold.func.gii"
        nib.save(nib.GiftiImage(darrays=arrays), name)
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = -96.5, -132.5, -78.5
    brain = np.zeros((97, 115, 97), np.int16)
    brain[8:90, 8:108, 25:90] = 1
    bold = brain[..., None] * rng.integers(90, 110, n, dtype=np.int16)
    for name, values in (("desc-preproc_bold", bold), ("desc-brain_mask", brain)):
        path = f"{run}_space-MNI152NLin6Asym_res-2_{name}.nii.gz"
        nib.save(nib.Nifti1Image(values, affine), path)
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    table = pd.DataFrame(rng.normal(size=(n, 6)), columns=names)
    table["cosine00"] = np.cos(np.linspace(0, np.pi, n))
    table.to_csv(f"{run}_desc-confounds_timeseries.tsv", sep="\t", index=False)


BEFORE = dict.fromkeys(("fmriprep", "datasets", "recipes"), preprocessed)
PAGES = [page for page in sorted(DOCS.glob("**/*.md")) if blocks(page)]


def quick_or_swept(page):
    quick = page.name == "quick-start.md"
    return pytest.param(
        page, id=str(page.relative_to(DOCS)), marks=() if quick else pytest.mark.sweep
    )


@pytest.mark.parametrize("page", [quick_or_swept(page) for page in PAGES])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    """Blocks run in order and share their variables, in an empty folder, as a user's would."""
    monkeypatch.chdir(tmp_path)
    BEFORE.get(page.stem, lambda folder: None)(tmp_path)
    module = types.ModuleType("page")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in blocks(page):
            exec(compile(block, str(page), "exec"), module.__dict__)


@pytest.mark.parametrize("name", ["domains", "initializers"])
def test_a_page_names_every_public_name(name):
    text = (DOCS / f"{name}.md").read_text()
    module = getattr(ai, name)
    public = [n for n, v in vars(module).items() if n[0] != "_" and not inspect.ismodule(v)]
    assert not [n for n in public if not re.search(rf"`[^`\n]*\b{n}\b[^`\n]*`", text)]


ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (DOCS / "ancestors.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| there", "| ---"))
]


# The letters that stand for files in the page's first paragraph.
TEST_FILES = {
    letter: TESTS.parent / path
    for letter, path in re.findall(
        r"`([A-Z])`\sis\s`(tests/[^`]+)`", (DOCS / "ancestors.md").read_text()
    )
}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_table_of_ancestors_names_what_exists(row):
    _, here, shown = row
    named = re.findall(r"`(?:ai\.)?([.\w]+)", here)
    assert named
    for name in named:
        found = ai
        for part in name.split("."):
            found = getattr(found, part)
    # Each letter holds for the tests after it, up to the next.
    parts = re.findall(r"\b([A-Z]) ((?:`[^`]+`(?:, )?)+)", shown)
    assert "".join(f"{letter} {tests}" for letter, tests in parts) == shown
    for letter, named in parts:
        source = TEST_FILES[letter].read_text()
        for test, case in re.findall(r"`(test_\w+)?(?:\[([\w-]+)\])?`", named):
            assert test or case
            assert not test or f"def {test}(" in source
            assert not case or f'"{case}":' in source


# The public names of hypercoil's `init` and `nn.atlas`, of klax's and GoMLX's initialisers and of
# JPC's initialisation, as of November 2026.
ANCESTORS = """
DiscreteVolumetricAtlas MultiVolumetricAtlas MultifileVolumetricAtlas CortexSubcortexCIfTIAtlas
CortexSubcortexGIfTIAtlas DirichletInitVolumetricAtlas DirichletInitSurfaceAtlas atlas_init
AtlasInitialiser from_distr_init constant_init identity_init DistributionInitialiser
ConstantInitialiser IdentityInitialiser MappedInitialiser deltaplus_init DeltaPlusInitialiser
dirichlet_init DirichletInitialiser FreqFilterSpec freqfilter_init FreqFilterInitialiser clamp_init
IIRFilterSpec laplace_init LaplaceInitialiser IdentityMappedParameter AffineMappedParameter
TanhMappedParameter AmplitudeTanhMappedParameter MappedLogits NormSphereParameter
ProbabilitySimplexParameter AmplitudeProbabilitySimplexParameter OrthogonalParameter
IsochoricParameter MappedParameter Clip Renormalise ForcePositiveDefinite
maximum_potential_bipartite_lattice tangency_init TangencyInitialiser SPDEuclideanMean
SPDHarmonicMean SPDLogEuclideanMean SPDGeometricMean sylo_init SyloInitialiser ToeplitzInitialiser
AtlasLinear
hoedt_normal hoedt_bias Initializer canonicalize_initializer NonNegative NonTrainable
Zero One RandomNormalFn RandomUniformFn GlorotUniformFn XavierUniformFn XavierNormalFn HeFn
BroadcastTensorToShape ParamInitialSeed
init_activities_with_ffwd init_activities_from_normal init_activities_with_amort init_epc_errors
"""


def test_every_public_name_of_the_ancestors_has_a_row():
    there = " ".join(row[0] for row in ROWS)
    assert not [name for name in ANCESTORS.split() if not re.search(rf"`{name}\b", there)]


def test_the_table_of_ancestors_names_its_test_files():
    assert set(TEST_FILES) == {row[2][0] for row in ROWS}
    assert all(path.is_file() for path in TEST_FILES.values())
