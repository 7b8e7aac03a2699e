"""Values of vertices as programs store them: sides, slices, a mesh or other files beside them."""

import base64
import itertools
import re
import subprocess

import nibabel as nb
import numpy as np
import pytest
from helpers_surfaces import contents
from nibabel.freesurfer import write_annot, write_morph_data
from nibabel.gifti import GiftiDataArray, GiftiImage

import atlasinit as ai
from atlasinit.io import open_data
from atlasinit.io.meshes import BOTH_SIZES, MESH_SIZES, as_maps, halves_of, is_columns, is_sliced

N = 642
KEYS = np.arange(N, dtype=np.int32) % 4
SERIES = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
MEANS = np.array([SERIES[KEYS == k].mean(axis=0, dtype=np.float64) for k in (1, 2, 3)])
POINTS, LABEL, NONE = (f"NIFTI_INTENT_{intent}" for intent in ("POINTSET", "LABEL", "NONE"))
TRIANGLES = np.array([[0, 1, 2], [1, 2, 3]], np.int32)


@pytest.fixture(scope="module")
def left():
    return ai.load_atlas({"cortex_L": KEYS}, space="stated")


def gifti(path, *arrays):
    """Write arrays, each a pair of an intent and its values."""
    image = GiftiImage()
    for intent, values in arrays:
        image.add_gifti_data_array(
            GiftiDataArray(values, intent=intent, datatype=str(values.dtype))
        )
    nb.save(image, path)
    return path


def means_of(path, atlas):
    return ai.project(atlas, open_data(path, atlas).all())


# Shapes


def in_shape(values, shape):
    return values.reshape(shape, order="F")


SHAPES = [
    (N, 1, 1, 3),
    (1, 1, N, 3),
    (321, 1, 2, 3),
    (107, 1, 6, 3),
    (N, 3),
    (N, 1, 3),
    (N, 1, 3, 1),
]


# MGH has three axes at least, and nibabel writes no fourth of one element.
MGH_SHAPES = [shape for shape in SHAPES if len(shape) > 2 and shape[-1] > 1]


@pytest.mark.parametrize(
    ("ending", "shape"),
    [
        *itertools.product((".nii", ".nii.gz"), SHAPES),
        *itertools.product((".mgh", ".mgz"), MGH_SHAPES),
    ],
)
def test_every_shape_is_the_mesh(tmp_path, left, shape, ending):
    kind = nb.MGHImage if "mg" in ending else nb.Nifti1Image
    nb.save(kind(in_shape(SERIES, shape), np.eye(4)), tmp_path / f"lh.x{ending}")
    np.testing.assert_allclose(means_of(tmp_path / f"lh.x{ending}", left), MEANS, rtol=1e-5)
    keys = in_shape(KEYS, shape[:3] if np.prod(shape[:3]) == N else (N, 1, 1))
    nb.save(kind(keys, np.eye(4)), tmp_path / f"rh.k{ending}")
    atlas = ai.load_atlas({"cortex_L": tmp_path / f"rh.k{ending}"}, space="stated")
    assert atlas.geometry == left.geometry
    np.testing.assert_array_equal(atlas.maps["cortex_L"].labels, left.maps["cortex_L"].labels)


def test_slices_are_read_by_chunks_of_time(tmp_path, left):
    path = tmp_path / "lh.x.nii.gz"
    nb.save(nb.Nifti1Image(in_shape(SERIES, (107, 1, 6, 3)), np.eye(4)), path)
    data = open_data(path, left)
    vertices = left.geometry["cortex_L"].vertices
    parts = [data.read(slice(i, i + 1)) for i in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), SERIES[vertices])


@pytest.mark.parametrize("shape", [(61, 1, 42), (107, 2, 3), (642, 5, 1), (6, 1, 107)])
def test_volumes_are_no_slices(shape):
    assert not is_sliced(shape)
    assert not is_columns((20, 1, 3))


def test_no_number_of_vertices_has_two_meanings():
    assert not MESH_SIZES & BOTH_SIZES
    for n, k in itertools.product(MESH_SIZES, range(2, 11)):
        assert not is_sliced((n, 1, k)), "a mesh of maps side by side is none in slices"


@pytest.mark.parametrize("shape", [(3, N), (2, 2 * N), (3, 5000), (1, 3, 32492)])
def test_maps_before_vertices_are_refused_everywhere(tmp_path, left, shape):
    values = np.zeros(shape, np.float32)
    with pytest.raises(ai.AtlasFileError, match=r"vertices should come before maps, .*transpose"):
        as_maps(values, "x")
    np.save(tmp_path / "lh.x.npy", values)
    gifti(tmp_path / "lh.x.func.gii", (NONE, values.reshape(shape[-2:])))
    for name in ("lh.x.npy", "lh.x.func.gii"):
        with pytest.raises(ai.AtlasFileError, match="vertices should come before maps"):
            ai.load_atlas(tmp_path / name, space="stated")
    with pytest.raises(ai.AtlasFileError, match="vertices should come before maps"):
        open_data(tmp_path / "lh.x.func.gii", left)
    # What the error says to do.
    turned = as_maps(values.reshape(shape[-2:]).T, "x")
    assert turned.shape == shape[-2:]


# Both hemispheres


def both_as(ending):
    keys = np.r_[KEYS, 3 - KEYS].astype(np.int32)
    series = np.r_[SERIES, -SERIES]
    surface = {
        ".gii": lambda path: gifti(path, (LABEL, keys)),
        ".func.gii": lambda path: gifti(path, *((NONE, column.copy()) for column in series.T)),
        ".mgz": lambda path: nb.save(nb.MGHImage(series.reshape(2 * N, 1, 1, 3), np.eye(4)), path),
        ".nii.gz": lambda path: nb.save(
            nb.Nifti1Image(series.reshape(2 * N, 1, 1, 3), np.eye(4)), path
        ),
        ".csv": lambda path: np.savetxt(path, keys, fmt="%d"),
        ".npy": lambda path: np.save(path, keys),
    }
    return surface[ending]


@pytest.mark.parametrize("ending", [".gii", ".csv", ".npy"])
def test_labels_of_both_hemispheres(tmp_path, ending):
    path = tmp_path / f"mesh.x{ending}"
    both_as(ending)(path)
    atlas = ai.load_atlas(path, space="stated")
    assert atlas.compartments == ("cortex_L", "cortex_R")
    np.testing.assert_array_equal(np.asarray(atlas.maps["cortex_L"].labels) + 1, KEYS)
    np.testing.assert_array_equal(np.asarray(atlas.maps["cortex_R"].labels) + 1, 3 - KEYS)
    right = ai.load_atlas({"cortex_R": path}, space="stated")
    assert right.geometry == {"cortex_R": atlas.geometry["cortex_R"]}


@pytest.mark.parametrize("ending", [".func.gii", ".mgz", ".nii.gz"])
def test_data_of_both_hemispheres(tmp_path, left, ending):
    path = tmp_path / f"s12.mesh.x{ending}"
    both_as(ending)(path)
    right = ai.load_atlas({"cortex_R": KEYS}, space="stated")
    for given, expected in ((left, MEANS), (right, -MEANS)):
        np.testing.assert_allclose(means_of(path, given), expected, rtol=1e-5)
    found = means_of(path, ai.join([left, right]))
    np.testing.assert_allclose(found, np.r_[MEANS, -MEANS], rtol=1e-5)


def test_a_file_that_states_its_structure_is_of_that_one(tmp_path):
    path = gifti(tmp_path / "x.label.gii", (LABEL, np.r_[KEYS, KEYS]))
    image = nb.load(path)
    image.meta["AnatomicalStructurePrimary"] = "CortexRight"
    nb.save(image, path)
    atlas = ai.load_atlas(path, space="stated")
    assert atlas.compartments == ("cortex_R",)
    assert atlas.geometry["cortex_R"].n_vertices == 2 * N
    assert halves_of(N) == {}


# A mesh beside the values


def test_values_beside_the_mesh_they_lie_on(tmp_path, left):
    points = SERIES[:, :3] * 50
    path = gifti(
        tmp_path / "lh.all.gii",
        (POINTS, points),
        ("NIFTI_INTENT_TRIANGLE", TRIANGLES),
        *(("NIFTI_INTENT_SHAPE", column.copy()) for column in SERIES.T),
    )
    np.testing.assert_allclose(means_of(path, left), MEANS, rtol=1e-5)
    stated = contents(path).stated
    np.testing.assert_array_equal(stated.mesh.coordinates, points)
    np.testing.assert_array_equal(stated.mesh.faces, TRIANGLES)
    labelled = gifti(
        tmp_path / "lh.labels.gii",
        (POINTS, points),
        ("NIFTI_INTENT_TRIANGLE", TRIANGLES),
        (LABEL, KEYS),
    )
    atlas = ai.load_atlas(labelled, space="stated")
    assert list(atlas.table["key"]) == [1, 2, 3]
    assert contents(labelled).stated.labels
    other = gifti(tmp_path / "lh.other.gii", (POINTS, points[:-1]), (LABEL, KEYS))
    with pytest.raises(ai.AtlasFileError, match=r"differ in length: \[641, 642\] vertices"):
        ai.load_atlas(other, space="stated")
    with pytest.raises(ai.AtlasFileError, match="is a surface .coordinates and triangles."):
        ai.load_atlas(gifti(tmp_path / "lh.m.gii", (POINTS, points)), space="stated")


def test_series_of_coordinate_intent(tmp_path, left):
    path = gifti(tmp_path / "x-lh.time.gii", *((POINTS, column.copy()) for column in SERIES.T))
    np.testing.assert_allclose(means_of(path, left), MEANS, rtol=1e-5)
    assert contents(path).stated.mesh is None


# GIFTI's encodings


def raw_gifti(values, encoding, order, endian="LittleEndian", text=None):
    dims = "".join(f' Dim{i}="{size}"' for i, size in enumerate(values.shape))
    code = {"i": "INT32", "f": "FLOAT32", "u": "UINT8"}[values.dtype.kind]
    flat = values.ravel(order="F" if order == "ColumnMajorOrder" else "C")
    stored = flat.astype(flat.dtype.newbyteorder(">" if endian == "BigEndian" else "<"))
    if text is None and encoding == "ASCII":
        text = "\n".join(map(str, flat.tolist()))
    elif text is None:
        text = base64.b64encode(stored.tobytes()).decode()
    return (
        f'<?xml version="1.0"?><GIFTI Version="1.0" NumberOfDataArrays="1"><DataArray '
        f'Intent="NIFTI_INTENT_NONE" DataType="NIFTI_TYPE_{code}" ArrayIndexingOrder="{order}" '
        f'Dimensionality="{values.ndim}"{dims} Encoding="{encoding}" Endian="{endian}" '
        f'ExternalFileName="x.dat" ExternalFileOffset="4"><Data>{text}</Data></DataArray></GIFTI>'
    )


@pytest.mark.parametrize("order", ["RowMajorOrder", "ColumnMajorOrder"])
@pytest.mark.parametrize("encoding", ["ASCII", "Base64Binary"])
@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.uint8])
@pytest.mark.parametrize("endian", ["LittleEndian", "BigEndian"])
def test_arrays_in_every_order(tmp_path, order, encoding, dtype, endian):
    values = np.arange(8).reshape(4, 2).astype(dtype)
    path = tmp_path / "lh.x.func.gii"
    path.write_text(raw_gifti(values, encoding, order, endian))
    part = contents(path, kind="maps").parts[0]
    np.testing.assert_array_equal(part.maps, values.T)


def test_numbers_in_a_file_beside_it(tmp_path, left):
    values = SERIES.copy()
    (tmp_path / "x.dat").write_bytes(b"skip" + values.tobytes())
    path = tmp_path / "lh.x.func.gii"
    text = raw_gifti(values, "ExternalFileBinary", "RowMajorOrder", text="")
    path.write_text(text)
    np.testing.assert_allclose(means_of(path, left), MEANS, rtol=1e-5)
    atlas = ai.load_atlas(path, space="stated", kind="maps")
    assert [name for name, _ in atlas.provenance.files] == ["lh.x.func.gii", "x.dat"]
    (tmp_path / "outside.dat").write_bytes(b"skip" + values.tobytes())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.dat").symlink_to(tmp_path / "outside.dat")
    inside = tmp_path / "in" / path.name
    for named in ("../outside.dat", str(tmp_path / "outside.dat"), "link.dat", "", ".."):
        inside.write_text(text.replace('"x.dat"', f'"{named}"'))
        with pytest.raises(ai.AtlasFileError, match="a file outside of its folder. Only"):
            open_data(inside, left)
    inside.write_text(text)
    with pytest.raises(ai.AtlasFileError, match="'x.dat', which is not beside it"):
        open_data(inside, left)
    (tmp_path / "x.dat").write_bytes(b"skip" + values.tobytes()[:-4])
    with pytest.raises(ai.AtlasFileError, match="should have 7704 bytes, got 7700"):
        open_data(path, left)


DAMAGED = [
    ('Dimensionality="1"', 'Dimensionality="2147483648"', "should have 1 to 6 axes"),
    ('Dimensionality="1"', 'Dimensionality="-1"', "should have 1 to 6 axes"),
    ('Dim0="642"', 'Dim0="641"', "should have 2564 bytes, got 25"),
    ('Dim0="642"', 'Dim0="642000000000"', "should have 2568000000000 bytes|unpacks to"),
    ('Dim0="642"', 'Dim0="0"', "is of shape"),
    ("<Data>.*</Data>", "", "an array of it has no data"),
    ("<Data>", "<Data><b/>", "lies between its numbers"),
    ("<Data>", "<Data>!", "could not be read"),
    ("NIFTI_TYPE_INT32", "NIFTI_TYPE_COMPLEX64", "should hold real numbers, got complex"),
    ("NIFTI_TYPE_INT32", "NIFTI_TYPE_RGB24", "should hold real numbers, got colours"),
    ('NumberOfDataArrays="1"', 'NumberOfDataArrays="2"', "should hold 2 arrays, but has 1"),
]


@pytest.mark.parametrize(("old", "new", "message"), DAMAGED)
@pytest.mark.parametrize("encoding", ["B64BIN", "B64GZ"])
def test_claims_of_a_gifti_are_checked(tmp_path, left, old, new, message, encoding):
    image = GiftiImage(darrays=[GiftiDataArray(KEYS, datatype="int32", encoding=encoding)])
    path = tmp_path / "lh.x.gii"
    text = re.sub(old, new, image.to_xml().decode(), flags=re.DOTALL)
    assert text != image.to_xml().decode()
    path.write_text(text)
    for call in (lambda: ai.load_atlas(path, space="stated"), lambda: open_data(path, left)):
        with pytest.raises(ai.AtlasFileError, match=message) as told:
            call()
        assert str(told.value).startswith(f"{path}: ")


# Colours


@pytest.mark.parametrize(
    ("colors", "expected"),
    [
        ([(0, 0, 0, 0), (120, 18, 134, 255), (1, 0, 0, 255)], ["#781286", "#010000"]),
        ([(0, 0, 0, 0), (1, 0, 0, 255), (0, 1, 0, 255)], ["#010000", "#000100"]),
        ([(0, 0, 0, 0), (0.5, 0, 0, 255), (0, 1, 0, 255)], ["#800000", "#00ff00"]),
        ([(0, 0, 0, 0), (1, 0, 0, 1), (0, 1, 0, 1)], ["#ff0000", "#00ff00"]),
        ([(0, 0, 0, 0), (float("nan"), 0, 0, 1), (0, 1, 0, 1)], ["", "#00ff00"]),
        ([(0, 0, 0, 0), (float("inf"), 0, 0, 1), (0, 1, 0, 1)], ["", "#00ff00"]),
    ],
)
@pytest.mark.parametrize("ending", [".label.gii", ".dlabel.nii"])
def test_colours_of_a_table_of_bytes_or_of_fractions(tmp_path, colors, expected, ending):
    keys = KEYS % 3
    path = tmp_path / f"lh.x{ending}"
    names = ("???", "a", "b")
    if ending == ".label.gii":
        image = GiftiImage(darrays=[GiftiDataArray(keys, intent=LABEL, datatype="int32")])
        for key, (name, rgba) in enumerate(zip(names, colors, strict=True)):
            label = nb.gifti.GiftiLabel(key, *map(float, rgba))
            label.label = name
            image.labeltable.labels.append(label)
    else:
        # nibabel reads such colours but does not write them: numbers of as many letters do.
        drawn = {k: tuple(float(f"0.{k + 1}{i}1") for i in range(4)) for k in range(3)}
        table = {k: (name, drawn[k]) for k, name in enumerate(names)}
        brain = nb.cifti2.BrainModelAxis.from_surface(range(N), N, "CIFTI_STRUCTURE_CORTEX_LEFT")
        axes = (nb.cifti2.LabelAxis(["x"], [table]), brain)
        image = nb.Cifti2Image(keys[None].astype(np.float32), header=axes)
    nb.save(image, path)
    if ending == ".dlabel.nii":
        stored = path.read_bytes()
        for key, i in itertools.product(range(3), range(4)):
            placed = f'"0.{key + 1}{i}1"'.encode()
            assert placed in stored
            stored = stored.replace(placed, f'"{colors[key][i]!s:5}"'.encode())
        path.write_bytes(stored)
    assert list(ai.load_atlas(path, space="stated").table["color"]) == expected


# FreeSurfer


def vertex_list(path, vertices, stated=None):
    lines = [f"{v}  1.0  2.0  3.0 0.0" for v in vertices]
    count = len(lines) if stated is None else stated
    path.write_text("\n".join(["#!ascii label, from subject x", str(count), *lines, ""]))
    return path


def test_a_label_lists_vertices(tmp_path, left):
    def kept(*given, **options):
        mask = {"cortex_L": vertex_list(tmp_path / "lh.m.label", *given, **options)}
        found = ai.load_atlas({"cortex_L": KEYS}, space="stated", mask=mask)
        return found.geometry["cortex_L"].vertices.tolist()

    assert kept([5, 1, 2]) == [1, 2, 5]
    np.testing.assert_array_equal(
        np.sort(nb.freesurfer.read_label(tmp_path / "lh.m.label")), [1, 2, 5]
    )
    with pytest.warns(
        ai.errors.AtlasWarning, match=r"2 of its 4 points belong to no vertex \(-1\)"
    ):
        assert kept([-1, 5, -1, 1]) == [1, 5]
    with pytest.raises(ai.AtlasFileError, match="lists vertex -2"):
        kept([0, -2])
    with pytest.raises(ai.AtlasFileError, match="states 3 points, but lists 2"):
        kept([0, 1], stated=3)
    with pytest.raises(ai.AtlasFileError, match="states 1 points, but lists 2"):
        kept([0, 1], stated=1)
    with pytest.raises(ai.AtlasFileError, match="lists no vertex"):
        kept([])
    with pytest.raises(ValueError, match=r"is of another mesh: it lists vertex 10{12}, the labels"):
        kept([0, 10**12])
    with pytest.raises(ai.AtlasFileError, match="could not be read as a FreeSurfer label"):
        kept([0, "x"])


def annotation(path, colors, names, keys=KEYS):
    table = np.array([[*color, 0] for color in colors])
    write_annot(path, keys, table, names, fill_ctab=True)
    return path


BLACK, RED, BLUE, GREY = (0, 0, 0), (255, 0, 0), (0, 0, 255), (25, 5, 25)


def test_a_black_region_of_an_annotation(tmp_path):
    colors = [GREY, RED, BLACK, BLUE]
    path = annotation(tmp_path / "lh.x.annot", colors, ["unknown", "a", "b", "c"])
    with pytest.warns(
        ai.errors.AtlasWarning, match=r"'b' is black.* These 160 .* background=\[0, \"b\"\]"
    ):
        atlas = ai.load_atlas(path, space="stated")
    counts = dict(zip(atlas.labels["name"], atlas.labels["n_locations"], strict=True))
    assert counts == dict(zip("abc", np.bincount(KEYS)[1:].tolist(), strict=True))
    # What the warning says to do.
    atlas = ai.load_atlas(path, space="stated", background=[0, "b"])
    assert list(atlas.labels["name"]) == ["a", "c"]


def test_black_that_is_no_region(tmp_path):
    path = annotation(tmp_path / "lh.x.annot", [BLACK, RED, GREY, BLUE], ["unknown", "a", "b", "c"])
    atlas = ai.load_atlas(path, space="stated")
    assert atlas.labels["n_locations"].tolist() == np.bincount(KEYS)[1:].tolist()
    names = ["unknown", "a", "b", "c"]
    both = annotation(tmp_path / "lh.y.annot", [BLACK, RED, BLACK, BLUE], names)
    with pytest.warns(ai.errors.AtlasWarning, match="'unknown' and 'b' are both black: these 321"):
        atlas = ai.load_atlas(both, space="stated")
    assert atlas.labels["n_locations"].tolist()[1] == 0
    two = annotation(tmp_path / "lh.z.annot", [GREY, BLACK, BLACK, BLUE], names)
    with pytest.raises(ai.AtlasFileError, match="cannot tell a, b apart, as they are black"):
        ai.load_atlas(two, space="stated")


def test_an_annotation_of_minus_one(tmp_path):
    names = ["unknown", "a", "b", "c"]
    path = annotation(tmp_path / "lh.x.annot", [GREY, RED, (9, 9, 9), BLUE], names)
    stored = bytearray(path.read_bytes())
    at = 4 + 8 * np.flatnonzero(KEYS == 2)[:, None] + np.arange(4, 8)
    np.frombuffer(stored, np.uint8)[at] = 255
    path.write_bytes(stored)
    atlas = ai.load_atlas(path, space="stated")
    assert atlas.labels["n_locations"].tolist() == [161, 0, 160]


@pytest.mark.parametrize("at", [3, 6, 11, 14])
def test_counts_of_morphometry_agree(tmp_path, left, at):
    path = tmp_path / "lh.thickness"
    write_morph_data(path, SERIES[:, 0])
    stored = bytearray(path.read_bytes())
    stored[at] ^= 1
    path.write_bytes(stored)
    with pytest.raises(ai.AtlasFileError, match="vertices of .* values each, but has 642"):
        open_data(path, left)


def test_workbench_reads_what_the_errors_advise(tmp_path, left):
    brain = nb.cifti2.BrainModelAxis.from_surface(range(N), N, "CIFTI_STRUCTURE_CORTEX_LEFT")
    series = nb.cifti2.SeriesAxis(0, 1, 3)
    nb.save(nb.Cifti2Image(SERIES, header=(brain, series)), tmp_path / "t.dtseries.nii")
    for call in (open_data, lambda path, _: ai.load_atlas(path, space="stated")):
        with pytest.raises(ai.AtlasFileError, match="is transposed.*wb_command -cifti-transpose"):
            call(tmp_path / "t.dtseries.nii", left)
    command = ["wb_command", "-cifti-transpose", "t.dtseries.nii", "x.dtseries.nii"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(means_of(tmp_path / "x.dtseries.nii", left), MEANS, rtol=1e-5)
