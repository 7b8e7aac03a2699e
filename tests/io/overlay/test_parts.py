"""The overlay: masks and meshes on files of every format, with and without a table."""

import nibabel as nb
import numpy as np
import pytest
from helpers_io import AFFINE, save_image
from helpers_surfaces import brain_atlas

import atlasinit as ai
from atlasinit.io import read_atlas, save_atlas
from atlasinit.io.overlay.losses import Mask
from atlasinit.io.overlay.parts import lay_over

SHAPE = (4, 3, 2)
LABELS = np.resize([0, 1, 2, 2, 7], 24).reshape(SHAPE)
INSIDE = LABELS != 7  # takes parcel 7 whole
INSIDE[0, 0] = False
NAMES = {1: "A", 2: "B", 7: "C"}


def soft():
    return np.stack([(LABELS == key) * 0.5 for key in NAMES], axis=-1).astype(np.float32)


def gifti(path, values, intent="NIFTI_INTENT_LABEL"):
    array = nb.gifti.GiftiDataArray(values.astype(np.int32), intent=intent)
    nb.GiftiImage(darrays=[array]).to_filename(path)
    return path


def annotation(path, values):
    colors = np.array([[25 * k, 5, 5, 0, 0] for k in range(1, 9)])
    names = ["unknown", *(f"p{k}" for k in range(1, 8))]
    nb.freesurfer.write_annot(path, values.astype(int), colors, names, fill_ctab=True)
    return path


def text(path, values):
    np.savetxt(path, values, fmt="%d")
    return path


def array(path, values):
    np.save(path, values)
    return path


FLAT = LABELS.reshape(-1)
VOLUMES = {
    "hard.nii.gz": lambda path: save_image(path, LABELS.astype(np.int16)),
    "hard.mgz": lambda path: nb.save(nb.MGHImage(LABELS.astype(np.int32), AFFINE), path),
    "soft_probseg.nii": lambda path: save_image(path, soft()),
}
SURFACES = {
    "lh.label.gii": lambda path: gifti(path, FLAT),
    "lh.annot": lambda path: annotation(path, FLAT),
    "lh.csv": lambda path: text(path, FLAT),
    "lh.npy": lambda path: array(path, FLAT),
    "lh.mgh": lambda path: nb.save(nb.MGHImage(FLAT.astype(np.int32)[:, None, None], AFFINE), path),
}


def options_of(name):
    """Return the options without a table and with one."""
    keyed = {1: "A", 2: "B", 3: "C"} if "soft" in name else NAMES
    return [{"labels": None}, {"labels": keyed}]


def expected(atlas, inside):
    """Return the dense weights of an atlas of the whole file, at the locations of a mask."""
    (compartment,) = atlas.compartments
    whole = atlas.geometry[compartment]
    return np.stack([whole.put(row)[inside] for row in atlas.to_dense()[compartment]])


@pytest.mark.parametrize("with_table", [False, True])
@pytest.mark.parametrize("name", [*VOLUMES, *SURFACES])
def test_a_mask_takes_locations_and_never_a_parcel(tmp_path, name, with_table):
    path = tmp_path / name
    (VOLUMES | SURFACES)[name](path)
    options = options_of(name)[with_table] | {"space": "s"}
    inside = INSIDE.reshape(-1) if name in SURFACES else INSIDE
    whole = read_atlas(path, **options)
    masked = read_atlas(path, mask=inside, **options)
    assert masked.table == whole.table
    assert masked.n_parcels >= 3
    np.testing.assert_array_equal(
        masked.to_dense()[masked.compartments[0]], expected(whole, inside)
    )
    (geometry,) = masked.geometry.values()
    np.testing.assert_array_equal(geometry.mask, inside)
    lost = np.count_nonzero(LABELS) - np.count_nonzero(LABELS * INSIDE)
    assert masked.provenance.operations == (f"mask(in memory: {lost} labelled locations lost)",)
    assert masked.labels["empty"].tolist()[-1]


def every_mask(folder):
    """Yield one mask of the vertices in every form."""
    inside = INSIDE.reshape(-1)
    yield inside
    yield inside[:, None]
    yield inside[None].astype(np.int8)
    yield inside * 3.0
    yield ai.SurfaceMesh(24, np.flatnonzero(inside))
    yield text(folder / "mask.txt", inside)
    yield gifti(folder / "mask.shape.gii", inside, "NIFTI_INTENT_SHAPE")
    yield nb.load(folder / "mask.shape.gii")
    yield {"cortex_L": inside}


def test_every_form_of_a_mask_of_vertices(tmp_path):
    path = text(tmp_path / "lh.csv", FLAT)
    whole = read_atlas(path, space="s", mask=INSIDE.reshape(-1))
    for mask in every_mask(tmp_path):
        masked = read_atlas(path, space="s", mask=mask)
        assert masked.geometry == whole.geometry
        assert masked.table == whole.table
    inside = INSIDE.reshape(-1)
    assert read_atlas(path, space="s", meshes={"cortex_L": {"mask": inside}}) == whole


def test_labels_of_kept_vertices_alone_get_their_places(tmp_path):
    """As hypercoil writes GIFTI, with a whole sphere: the mask says which vertices they are."""
    whole = read_atlas(text(tmp_path / "lh.csv", FLAT), space="s", mask=INSIDE.reshape(-1))
    inside = np.asarray(INSIDE.reshape(-1), bool)
    (tmp_path / "kept").mkdir()
    path = text(tmp_path / "kept" / "lh.csv", np.asarray(FLAT)[inside])
    sphere = np.random.default_rng(0).normal(size=(24, 3))
    for mask in (inside, *every_mask(tmp_path)):
        kept = read_atlas(path, space="s", mask=mask)
        assert kept.geometry == whole.geometry
        assert kept.to_dense()["cortex_L"].sum() > 0
    laid = read_atlas(path, space="s", meshes={"cortex_L": {"sphere": sphere, "mask": inside}})
    np.testing.assert_allclose(laid.geometry["cortex_L"].sphere, sphere, rtol=1e-6)
    np.testing.assert_array_equal(laid.geometry["cortex_L"].vertices, np.flatnonzero(inside))
    with pytest.raises(
        ValueError, match=r"labels \d+\. Of labels of some vertices alone, pass which"
    ):
        read_atlas(path, space="s", meshes={"cortex_L": {"sphere": sphere}})


WRONG = [
    (np.ones((24, 2)), ValueError, r"\(24,\) or \(24, 1\), got shape \(24, 2\)"),
    (np.ones(23), ValueError, "another mesh: it has 23 vertices, the labels 24"),
    (np.zeros(24), ValueError, "`mask` holds none of the 24 vertices"),
    (ai.VolumeGrid((24, 1, 1), np.eye(4)), TypeError, "a SurfaceMesh, got VolumeGrid"),
    (3, TypeError, "a SurfaceMesh, got int"),
    ({"cortex_R": np.ones(24)}, ValueError, r"compartments are cortex_L, got \['cortex_R'\]"),
]


@pytest.mark.parametrize(("mask", "error", "message"), WRONG)
def test_masks_of_vertices_that_do_not_fit(tmp_path, mask, error, message):
    path = text(tmp_path / "lh.csv", FLAT)
    with pytest.raises(error, match=message):
        read_atlas(path, space="s", mask=mask)


def test_a_mask_stored_in_another_direction_is_the_same(tmp_path):
    path = save_image(tmp_path / "a.nii", LABELS.astype(np.int16))
    image = nb.Nifti1Image(INSIDE.astype(np.uint8), AFFINE)
    flipped = image.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
    found = read_atlas(path, space="s", mask=flipped)
    assert found.geometry == read_atlas(path, space="s", mask=INSIDE).geometry


def test_a_mask_wider_than_the_labels_adds_locations_of_no_parcel(tmp_path):
    path = save_image(tmp_path / "a.nii", LABELS.astype(np.int16))
    found = read_atlas(path, space="s", mask=np.ones(SHAPE, bool))
    assert found.n_locations == 24
    assert found.labels["n_locations"].tolist() == [5, 10, 4]


def test_masks_are_named_in_the_provenance(tmp_path):
    path = save_image(tmp_path / "a.nii", LABELS.astype(np.int16))
    brain = save_image(tmp_path / "brain.nii", INSIDE.astype(np.uint8))
    (told,) = read_atlas(path, space="s", mask=brain).provenance.operations
    assert told.startswith("mask(brain.nii: ")
    (told,) = read_atlas(path, space="s", mask=({"b": brain}, "b > 0")).provenance.operations
    assert told.startswith("mask(b > 0; b = brain.nii: ")


# Whole atlases in archives


def masks_of(atlas):
    """Return a mask for each compartment, wider than its locations for the volume."""
    masks = {}
    for c, geometry in atlas.geometry.items():
        masks[c] = geometry.put(np.arange(geometry.n_locations) % 3 > 0)
    masks["subcortex"].reshape(-1)[
        np.setdiff1d(np.arange(60), atlas.geometry["subcortex"].voxels)[:4]
    ] = True
    return masks


def types():
    atlas = brain_atlas()
    dense = {c: ai.DenseMaps(m.to_dense()) for c, m in atlas.maps.items()}
    sparse = {c: ai.SparseMaps.from_scipy(m.to_scipy()) for c, m in atlas.maps.items()}
    return {
        "as it is": atlas,
        "hard": atlas.harden(),
        "dense": atlas.replace(maps=dense),
        "sparse": atlas.replace(maps=sparse),
    }


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
@pytest.mark.parametrize("case", types())
def test_archives_take_masks_as_other_files_do(tmp_path, case, ending):
    atlas = types()[case]
    (path,) = save_atlas(atlas, tmp_path / f"a{ending}")
    masks = masks_of(atlas)
    found = read_atlas(path, mask=masks)
    assert found.table == atlas.table
    for c, inside in masks.items():
        assert type(found.maps[c]) is type(atlas.maps[c])
        np.testing.assert_array_equal(found.geometry[c].mask, inside)
        whole = [atlas.geometry[c].put(row) for row in atlas.maps[c].to_dense()]
        back = [found.geometry[c].put(row) for row in found.maps[c].to_dense()]
        np.testing.assert_array_equal(back, np.array(whole) * inside)
    assert "labelled locations lost" in found.provenance.operations[-1]


# Masks of several compartments


def brain_axis(atlas, keep):
    """Return CIFTI's axis of some locations of each compartment, and the geometry of these."""
    axes, kept = [], {}
    for c, geometry in atlas.geometry.items():
        own = kept[c] = geometry.restrict(np.flatnonzero(keep(geometry.n_locations)))
        if isinstance(own, ai.SurfaceMesh):
            side = {"L": "left", "R": "right"}[c[-1]]
            axis = nb.cifti2.BrainModelAxis.from_surface(
                own.vertices, own.n_vertices, name=f"cortex_{side}"
            )
        else:
            axis = nb.cifti2.BrainModelAxis(
                name=np.repeat(*np.transpose(own.structures)[[0, 1]].tolist()),
                voxel=own.ijk,
                affine=own.affine,
                volume_shape=own.shape,
            )
        axes.append(axis)
    return axes, kept


def cifti(path, axes, values):
    """Write values (maps, locations) over brain models."""
    models = axes[0]
    for axis in axes[1:]:
        models = models + axis
    maps = nb.cifti2.ScalarAxis([f"m{i}" for i in range(len(values))])
    image = nb.Cifti2Image(np.asarray(values, np.float32), (maps, models))
    image.to_filename(path)
    return path


@pytest.fixture
def brain(tmp_path):
    atlas = brain_atlas(key=[1, 2, 3, 4, 5, 6, 7]).harden()
    (path,) = save_atlas(atlas, tmp_path / "a.dlabel.nii")
    return read_atlas(path), path


def of_data(folder, atlas):
    axes, kept = brain_axis(atlas, lambda n: np.arange(n) % 3 > 0)
    size = sum(g.n_locations for g in kept.values())
    return cifti(folder / "data.dscalar.nii", axes, np.arange(3 * size).reshape(3, -1)), kept


def of_one_map(folder, atlas):
    axes, whole = brain_axis(atlas, lambda n: np.ones(n, bool))
    inside = [np.arange(g.n_locations) % 3 > 0 for g in whole.values()]
    path = cifti(folder / "mask.dscalar.nii", axes, [np.concatenate(inside) * 2])
    kept = {c: g.restrict(own) for (c, g), own in zip(whole.items(), inside, strict=True)}
    return path, kept


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("form", [of_data, of_one_map])
def test_masks_in_cifti(brain, tmp_path, form, in_memory):
    atlas, path = brain
    mask, kept = form(tmp_path, atlas)
    found = read_atlas(path, mask=nb.load(mask) if in_memory else mask)
    assert found.table == atlas.table
    assert found.geometry == kept
    cortex = read_atlas(path, mask=mask).select(compartments="cortex_L")
    (left,) = save_atlas(atlas.select(compartments="cortex_L"), tmp_path / "L.label.gii")
    assert read_atlas(left, mask=mask).geometry == cortex.geometry


def test_masks_in_cifti_that_do_not_fit(brain, tmp_path):
    atlas, path = brain
    axes, _ = brain_axis(atlas, lambda n: np.ones(n, bool))
    size = atlas.n_locations
    graded = cifti(tmp_path / "x.dscalar.nii", axes, [np.linspace(0, 1, size)])
    with pytest.raises(ValueError, match=r"x.dscalar.nii should hold 0 and one other value"):
        read_atlas(path, mask=graded)
    volume = save_image(tmp_path / "v.nii", LABELS.astype(np.int16))
    with pytest.raises(ValueError, match="is of cortex_L, cortex_R, subcortex, the .* of volume"):
        read_atlas(volume, space="s", mask=graded.with_name(of_data(tmp_path, atlas)[0].name))


def test_the_geometry_of_an_atlas_is_a_mask(brain):
    atlas, path = brain
    half = {c: g.restrict(np.arange(g.n_locations) % 2 == 0) for c, g in atlas.geometry.items()}
    assert read_atlas(path, mask=half).geometry == half


def test_a_surface_image_of_nilearn_is_a_mask(tmp_path):
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    points = np.random.default_rng(0).normal(size=(24, 3))
    mesh = InMemoryMesh(points, np.array([[0, 1, 2]]))
    inside = INSIDE.reshape(-1)
    image = SurfaceImage(
        PolyMesh(left=mesh, right=mesh), {"left": inside, "right": ~inside | (FLAT == 1)}
    )
    paths = [text(tmp_path / f"{side}.csv", FLAT) for side in ("lh", "rh")]
    atlas = read_atlas(paths, space="s", mask=image)
    np.testing.assert_array_equal(atlas.geometry["cortex_L"].mask, inside)
    np.testing.assert_array_equal(atlas.geometry["cortex_R"].mask, ~inside | (FLAT == 1))
    assert atlas.table == read_atlas(paths, space="s").table


def test_structures_stay_where_a_mask_only_takes():
    grid = brain_atlas().geometry["subcortex"]
    kept = grid.put(np.array([True, False, True, True, True, False, True]))
    (laid,) = lay_over({"subcortex": grid}, mask=kept).values()
    assert laid.geometry == grid.restrict(np.array([0, 2, 3, 4, 6]))
    assert [count for _, count in laid.geometry.structures] == [3, 2]


def test_parcels_that_a_mask_of_our_own_takes_are_named(tmp_path):
    path = text(tmp_path / "lh.csv", FLAT)
    mask = Mask(INSIDE.reshape(-1), "without_wall({lost} lost)", "x: these stay as empty rows")
    with pytest.warns(ai.AtlasWarning, match="x: these stay as empty rows: C."):
        atlas = read_atlas(path, space="s", labels=NAMES, mask=mask)
    assert atlas.provenance.operations[0].startswith("without_wall(")
