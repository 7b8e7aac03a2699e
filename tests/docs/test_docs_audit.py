"""What an audit of the pages found untrue or untested is true now: a sentence and what shows it."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import nibabel as nb
import numpy as np
import pandas as pd
import paramax
import pytest
from helpers_smoothing import sphere_mesh, voronoi
from sklearn.utils import Bunch

import atlasinit as ai
from atlasinit import domains, initializers

DOCS = Path(__file__).parents[2] / "docs"
KEY = jax.random.key(0)
TWO = ai.HardMaps(np.array([0, 0, 1, 1, -1], np.int32), 2)
THREE_KINDS = [TWO, ai.SparseMaps.from_scipy(TWO.to_scipy()), ai.DenseMaps(TWO.to_dense())]


def cortex(level=3):
    mesh = sphere_mesh(level)
    left = ai.SurfaceMesh(mesh.n_vertices, faces=mesh.faces, sphere=mesh.sphere, hemisphere="L")
    maps = voronoi(mesh, 4)
    rows = {"compartment": ["cortex_L"] * 4, "key": [1, 2, 3, 4], "name": list("abcd")}
    table = ai.LabelTable(rows | {"color": [""] * 4, "hemisphere": ["L"] * 4})
    return ai.Atlas(
        name="a", space="s", maps={"cortex_L": maps}, geometry={"cortex_L": left}, labels=table
    )


def unlabelled_vertices_take_weight(folder):
    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    maps, soft = (a.maps["cortex_L"] for a in (atlas, ai.smooth(atlas, fwhm=6.0)))
    bare = np.asarray(maps.labels) < 0
    reached = np.asarray(soft.to_scipy().sum(axis=0)).ravel()[bare] > 0
    assert (bare.sum(), reached.sum()) == (1038, 390)
    # `mask=` takes them out: then the weights of every vertex add up to what they did.
    mask = {c: np.asarray(m.labels) >= 0 for c, m in atlas.maps.items()}
    kept = ai.load_atlas("desikan-killiany", space="fsaverage5", mask=mask)
    assert kept.geometry["cortex_L"].n_locations == 10242 - 1038


def layers_start_as_their_atlas(folder):
    atlas = cortex()
    bare = np.asarray(atlas.maps["cortex_L"].labels).copy()
    bare[:90] = -1
    soft = ai.smooth(atlas.replace(maps={"cortex_L": ai.HardMaps(bare, 4)}), fwhm=30.0)
    x = np.random.default_rng(0).normal(size=(soft.n_locations, 3)).astype(np.float32)
    layer = ai.AtlasLinear.from_atlas(soft, domain=domains.Simplex(purity=0.99))
    np.testing.assert_allclose(layer(x), ai.project(soft, x), atol=2e-6)


def one_wider_smoothing(folder):
    mesh = cortex(4).geometry["cortex_L"]
    x = np.random.default_rng(0).normal(size=(mesh.n_vertices, 2)).astype(np.float32)
    narrow, wide = (
        ai.smoothing_operator(mesh, sigma=s, geometry="sphere", profile="heat", truncate=6)
        for s in (14.0, 14.0 * 2**0.5)
    )
    twice, once = (np.asarray(y) for y in (narrow(narrow(x)), wide(x)))
    assert np.abs(twice - once).max() < 2e-3 * np.abs(once).max()
    with pytest.raises(ValueError, match="'heat' is for the sphere"):
        ai.smoothing_operator(ai.VolumeGrid((3, 3, 3), np.eye(4)), sigma=2.0, profile="heat")


def widths_stay_within_what_was_built(folder):
    mesh = cortex(4).geometry["cortex_L"]
    x = np.random.default_rng(0).normal(size=(mesh.n_vertices, 2)).astype(np.float32)
    built, wide = (ai.smoothing_operator(mesh, sigma=s, geometry="sphere") for s in (6.0, 18.0))
    learned, right = (np.asarray(y) for y in (built(x, sigma=18.0), wide(x)))
    assert np.abs(learned - right).max() > 0.05 * np.abs(right).max()
    np.testing.assert_allclose(wide(x, sigma=6.0), built(x), atol=1e-3)


def maps_grow_by_a_rim(folder):
    atlas = cortex(4)
    mesh = atlas.geometry["cortex_L"]
    widths, counts, operators = (6.0, 24.0), [], []
    for sigma in widths:
        operators.append(ai.smoothing_operator(mesh, sigma=sigma, geometry="sphere"))
        counts.append(ai.smooth(atlas, sigma=sigma).maps["cortex_L"].to_scipy().nnz)
    assert counts[1] / counts[0] < 4 < 16


def infinity_is_not_missing(folder):
    x = np.array([[1.0], [np.inf], [2], [3], [4]], np.float32)
    for maps in THREE_KINDS:
        expected = np.inf if isinstance(maps, ai.HardMaps) else np.nan
        for missing in ("propagate", "omit", "error"):
            np.testing.assert_array_equal(
                np.asarray(ai.project(maps, x, missing=missing)).ravel(), [expected, 2.5]
            )
        x[1] = np.nan
        for other in THREE_KINDS:
            found = np.asarray(ai.project(other, x, missing="omit")).ravel()
            np.testing.assert_array_equal(found, [1, 2.5])
        x[1] = np.inf


def sums_of_nothing(folder):
    maps = ai.HardMaps(np.zeros(3, np.int32), 2)
    x = np.ones((3, 1), np.float32)
    assert ai.project(maps, x, reduction="sum").ravel().tolist() == [3, 0]
    omit = {"missing": "omit", "min_coverage": 0.5}
    for reduction in ("sum", "mean"):
        assert np.isnan(ai.project(maps, x, reduction=reduction, **omit)[1, 0])


def unwraps_by_paramax(folder):
    node = domains.constrained(jnp.array([[0.2], [0.8]]), domains.Simplex())
    np.testing.assert_array_equal(domains.unwrap(node), paramax.unwrap(node))
    assert domains.unwrap is not paramax.unwrap


def gradients_are_finite(folder):
    domain = domains.Isochoric(softmax_temperature=1)
    for size in (0.5, 1.0, 2.0, 2.28):
        x = jnp.diag(jnp.array([size, 0, 0], jnp.float32))
        assert np.isfinite(domain.image(x)).all()
        assert np.isfinite(jax.jacobian(domain.image)(x)).all()


def clipping(folder):
    def clip(*values):
        domain = domains.Simplex(outside="clip")
        return np.asarray(domain.image(domain.preimage(jnp.array(values)[:, None])))[:, 0]

    np.testing.assert_allclose(clip(1.2, 0.4), [0.75, 0.25], atol=1e-4)
    np.testing.assert_allclose(clip(0.5, -0.4), [1, 0], atol=0.011)
    interval = domains.Tanh(outside="clip")
    assert np.isfinite(interval.preimage(jnp.array([jnp.inf, -jnp.inf]))).all()
    for domain in (domains.Simplex(outside="clip"), domains.Tanh()):
        with pytest.raises(ValueError, match="finite|hold no NaN or infinity"):
            domain.preimage(jnp.array([[jnp.inf], [0.4]]))


def draws_of_jax(folder):
    shape, theirs = (30, 40), jax.nn.initializers
    for name in ("glorot_uniform", "xavier_normal", "glorot_normal", "he_normal"):
        ours = getattr(initializers, name)()(KEY, shape, jnp.float32)
        np.testing.assert_array_equal(ours, getattr(theirs, name)()(KEY, shape, jnp.float32))
    assert not np.asarray(initializers.glorot_uniform()(KEY, (5,), jnp.float32)).any()


def noise_needs_weights(folder):
    atlas = cortex()
    x = np.random.default_rng(0).normal(size=(atlas.n_locations, 2)).astype(np.float32)
    plain = np.asarray(ai.project(atlas, x))
    with pytest.raises(ValueError, match="`noise` has no weights .*`dense=True` or a `domain`"):
        ai.AtlasLinear.from_atlas(atlas, noise=0.1, key=KEY)
    dense = ai.AtlasLinear.from_atlas(atlas, noise=0.1, key=KEY, dense=True)
    assert np.abs(np.asarray(dense(x)) - plain).max() > 1e-3


def radii_are_kept(folder):
    found = [ai.load_atlas("power2011", radius=r).provenance for r in (5.0, 8.0)]
    assert [p.operations for p in found] == [("spheres(radius=5)",), ("spheres(radius=8)",)]
    assert ai.load_atlas("power2011").provenance.operations == found[0].operations


def names_that_are_read_back(folder):
    mesh = cortex().geometry["cortex_L"]
    sides = {
        f"cortex_{s}": ai.SurfaceMesh(
            mesh.n_vertices, faces=mesh.faces, sphere=mesh.sphere, hemisphere=s
        )
        for s in "LR"
    }
    maps = voronoi(mesh, 4)
    rows = {"compartment": [c for c in sides for _ in range(4)], "key": [1, 2, 3, 4] * 2}
    rows |= {"name": [f"{c[-1]}_{i}" for c in sides for i in range(4)]}
    rows |= {"color": ["#102030", "#203040", "#304050", "#405060"] * 2}
    table = ai.LabelTable(rows | {"hemisphere": [c[-1] for c in rows["compartment"]]})
    atlas = ai.Atlas(
        name="a", space="s", maps=dict.fromkeys(sides, maps), geometry=sides, labels=table
    )
    for given, written in (
        ("x.L.label.gii", ["x.L.label.gii", "x.R.label.gii"]),
        ("q.label.gii", ["q.L.label.gii", "q.R.label.gii"]),
        ("z.L.annot", ["z.L.annot", "z.R.annot"]),
    ):
        files = ai.save_atlas(atlas, folder / given)
        assert [path.name for path in files] == written
        again = ai.load_atlas(files, space="s")
        assert again.compartments == atlas.compartments
        for c in atlas.compartments:
            np.testing.assert_array_equal(again.maps[c].labels, atlas.maps[c].labels)


def a_list_of_images(folder):
    labels = np.zeros((3, 3, 3), np.int16)
    labels[0], labels[1] = 1, 2
    atlas = ai.load_atlas(nb.Nifti1Image(labels, np.eye(4)), space="s")
    bold = np.random.default_rng(0).normal(size=(3, 3, 3, 6)).astype(np.float32)
    images = [nb.Nifti1Image(b, np.eye(4)) for b in (bold, bold + 1)]
    found = ai.AtlasMasker(atlas).fit().transform(images)
    assert isinstance(found, list)
    assert [one.shape for one in found] == [(6, 2), (6, 2)]


def a_bunch_of_nilearn(folder):
    labels = np.zeros((3, 3, 3), np.int16)
    labels[0], labels[1] = 1, 2
    nb.save(nb.Nifti1Image(labels, np.eye(4)), folder / "maps.nii.gz")
    lut = pd.DataFrame({"index": [0, 1, 2], "name": ["Background", "front", "back"]})
    bunch = Bunch(maps=str(folder / "maps.nii.gz"), lut=lut)
    atlas = ai.load_atlas(bunch.maps, labels=bunch.lut, space="s")
    assert atlas.labels["name"].tolist() == ["front", "back"]


def overlapping_spheres(folder):
    image = nb.Nifti1Image(np.zeros((9, 9, 9), np.float32), np.diag([2.0, 2, 2, 1]))
    atlas = ai.sphere_atlas([(6, 8, 8), (10, 8, 8)], image, radius=5, space="s")
    values = np.array([[1.0, 3.0]], np.float32)
    painted = ai.AtlasMasker(atlas).fit().inverse_transform(values).get_fdata()[..., 0]
    assert painted.max() == 3
    assert painted[4, 4, 4] == 2
    assert np.asarray(ai.back_project(atlas, values[0])).max() == 4


def pages_of_both_endings(folder):
    report = ai.generate_report(cortex(2))
    assert report.save(folder / "page.htm").read_text(encoding="utf-8") == report.html
    with pytest.raises(ValueError, match="should end in"):
        report.save(folder / "page.txt")


def fresh_names(folder):
    code = "import atlasinit as ai; ai.measures.overlap; ai.io.open_data; ai.domains.Simplex"
    subprocess.run([sys.executable, "-c", code], check=True)


def products_are_not_of_tf32(folder):
    x = np.ones((5, 3), np.float32)
    for maps in THREE_KINDS[1:]:
        program = str(jax.make_jaxpr(lambda x, maps=maps: ai.project(maps, x))(x))
        count = program.count("dot_general")
        assert count > 0
        assert program.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == count


SENTENCES = {
    "medial wall": ("kernels-and-widths", "FWHM of 6 mm reaches 390", unlabelled_vertices_take_weight),
    "starts as it": ("domains", "A node starts as its atlas.", layers_start_as_their_atlas),
    "heat": ("kernels-and-widths", "two smoothings are one wider smoothing (on a mesh to 2e-3", one_wider_smoothing),
    "learned width": ("kernels-and-widths", "stays within the neighbourhood that was built", widths_stay_within_what_was_built),
    "cost of maps": ("kernels-and-widths", "Maps grow more slowly", maps_grow_by_a_rim),
    "infinity": ("concepts", "Infinity is no missing value", infinity_is_not_missing),
    "sums": ("faq", "The sum of a parcel without locations is 0", sums_of_nothing),
    "unwrap": ("domains", "`domains.unwrap` calls `paramax.unwrap`", unwraps_by_paramax),
    "finite": ("domains", "Every map has finite gradients wherever its image does not overflow", gradients_are_finite),
    "clip": ("domains", "of a `Simplex` it sets negative ones to 0", clipping),
    "draws": ("initializers", "JAX's draws to the bit", draws_of_jax),
    "noise": ("training", "of weights (not of labels) that are trained", noise_needs_weights),
    "radius": ("coming-from", 'ai.load_atlas("power2011", radius=5.0)', radii_are_kept),
    "names": ("file-formats", "`lh.`", names_that_are_read_back),
    "lists": ("coming-from", "`transform` returns a list for a list of images", a_list_of_images),
    "bunch": ("coming-from", "ai.load_atlas(bunch.maps, labels=bunch.lut", a_bunch_of_nilearn),
    "spheres": ("coming-from", "gives a location the mean of its parcels", overlapping_spheres),
    "tf32": ("faq", "not in TF32, which would cost three digits", products_are_not_of_tf32),
    "htm": ("report", "report.save(", pages_of_both_endings),
    "fresh": ("report", "what ai.io.open_data takes", fresh_names),
}  # fmt: skip


SLOW = ("medial wall", "fresh", "starts as it", "learned width", "finite")


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.sweep if case in SLOW else ()) for case in SENTENCES],
)
def test_what_the_audit_asked_for_is_so(case, tmp_path):
    page, sentence, shows = SENTENCES[case]
    text = re.sub(r"\s+", " ", (DOCS / f"{page}.md").read_text(encoding="utf-8"))
    assert sentence in text
    shows(tmp_path)
