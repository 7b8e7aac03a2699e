"""Findings of files that have an oddity, and of the same files without it."""

import nibabel as nb
import numpy as np
import pytest

import atlasinit as ai

AFFINE = np.diag([2.0, 2, 2, 1])
AFFINE[:3, 3] = [-10, -8, -6]
NAME = "space-MNI152NLin6Asym_dseg"
BOXES = np.zeros((11, 8, 6), np.int16)
BOXES[1:4, 1:4, 1:4] = 1  # x = -8 to -4 mm
BOXES[7:10, 1:4, 1:4] = 2  # x = 4 to 8 mm
TABLE = "index\tname\tcolor\themisphere\n1\tA\t#ff0000\tL\n2\tB\t#00ff00\tR\n"
POINTS = 50.0 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
FACES = np.array([[*map(int, c)] for c in "024 214 134 304 205 125 315 035".split()])


def image(folder, values=BOXES, table=TABLE, name=NAME):
    found = nb.Nifti1Image(values, AFFINE)
    found.header.set_xyzt_units("mm", "sec")
    found.header.set_intent("label")
    found.set_qform(AFFINE, 1)
    nb.save(found, folder / f"{name}.nii")
    if table:
        (folder / f"{name}.tsv").write_text(table)
    return folder / f"{name}.nii"


def changed(*places):
    values = BOXES.copy()
    for key, place in places:
        values[place] = key
    return values


def gifti(folder, arrays, name="x.L.func.gii", side="CortexLeft", titles=None):
    meta = nb.gifti.GiftiMetaData({"AnatomicalStructurePrimary": side} if side else {})
    arrays = [
        nb.gifti.GiftiDataArray(
            np.asarray(a, np.float32), "NIFTI_INTENT_NONE", meta={"Name": t} if t else {}
        )
        for a, t in zip(arrays, titles or [""] * len(arrays), strict=True)
    ]
    nb.save(nb.gifti.GiftiImage(meta=meta, darrays=arrays), folder / name)
    return folder / name


def surface(folder, points=POINTS, faces=FACES, name="x.L.surf.gii", side="CortexLeft"):
    meta = {"AnatomicalStructurePrimary": side} if side else {}
    arrays = [
        nb.gifti.GiftiDataArray(np.float32(points), "NIFTI_INTENT_POINTSET", meta=meta),
        nb.gifti.GiftiDataArray(np.int32(faces), "NIFTI_INTENT_TRIANGLE"),
    ]
    nb.save(nb.gifti.GiftiImage(darrays=arrays), folder / name)
    return folder / name


def freesurfer(folder, faces):
    nb.freesurfer.write_geometry(str(folder / "lh.white"), POINTS, faces)
    return folder / "lh.white"


def labels(folder, names):
    table = nb.gifti.GiftiLabelTable()
    for key, name in enumerate(names):
        entry = nb.gifti.GiftiLabel(key, 1, 0, 0, 1)
        entry.label = name
        table.labels.append(entry)
    values = np.repeat([0, 1], 30).astype(np.int32)
    arrays = [nb.gifti.GiftiDataArray(values, "NIFTI_INTENT_LABEL")]
    path = folder / "tpl-x_hemi-L_dseg.label.gii"
    nb.save(nb.gifti.GiftiImage(labeltable=table, darrays=arrays), path)
    return path


def torus(n=6):
    """Return points and triangles of a ring of rings."""
    i, j = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    u, v = 2 * np.pi * i / n, 2 * np.pi * j / n
    ring = 40 + 15 * np.cos(v)
    points = np.stack([ring * np.cos(u), ring * np.sin(u), 15 * np.sin(v)], -1).reshape(-1, 3)
    at = lambda a, b: (a % n) * n + b % n  # noqa: E731
    quads = [at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)]
    a, b, c, d = (q.ravel() for q in quads)
    return points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def text(folder, content, name="x.tsv"):
    (folder / name).write_text(content)
    return folder / name


def rotated(folder, *, is_rotation):
    path = image(folder)
    stored = bytearray(path.read_bytes())
    # quatern_b: https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields
    stored[256:260] = np.float32(0 if is_rotation else 1.5).tobytes()
    path.write_bytes(stored)
    return path


def contradicted(folder, *, differs):
    atlas = ai.load_atlas(image(folder))
    (path, *_) = ai.save_atlas(atlas, folder / "x.nii.gz")
    space = "MNI152NLin2009cAsym" if differs else atlas.space
    return path.rename(folder / f"space-{space}_y.nii.gz")


def vertices(folder, listed, name="lh.m.label"):
    lines = "".join(f"{v} 0 0 0 0\n" for v in listed)
    return text(folder, f"#!ascii\n{len(listed)}\n{lines}", name)


MATRIX = "1 0 0 2\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"
ITK = (
    "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
    "Parameters: 1 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n"
)
ROWS = np.arange(12, dtype=np.float32).reshape(2, 6) + 0.5 - 20

# What is odd: a file that has it, a file that has not, the level, and what is said.
ODDITIES = {
    "another space in the header": (
        lambda f: contradicted(f, differs=True),
        lambda f: contradicted(f, differs=False),
        "warning",
        "its name states the space",
    ),
    "maps of one name": (
        lambda f: gifti(f, ROWS, titles=["a", "a"]),
        lambda f: gifti(f, ROWS, titles=["a", "b"]),
        "warning",
        "several maps have one name: 'a'",
    ),
    "a qform that is no rotation": (
        lambda f: rotated(f, is_rotation=False),
        lambda f: rotated(f, is_rotation=True),
        "warning",
        "its qform is no rotation",
    ),
    "no table": (
        lambda f: image(f, table=""),
        image,
        "warning",
        "no label table, in the file or beside it",
    ),
    "several keys of one name": (
        lambda f: image(f, table=TABLE.replace("B", "A").replace("R", "L")),
        image,
        "warning",
        "one name",
    ),
    "some without a colour": (
        lambda f: image(f, table=TABLE.replace("#00ff00", "n/a")),
        image,
        "note",
        "1 entries have no colour: 'B'",
    ),
    "none with a colour": (
        lambda f: image(f, table="index\tname\n1\tA\n2\tB\n"),
        image,
        "note",
        "no entry has a colour",
    ),
    "some without a side": (
        lambda f: image(f, table=TABLE.replace("\tR\n", "\tn/a\n")),
        image,
        "note",
        "1 of 2 entries state no hemisphere",
    ),
    "another side than the name": (
        lambda f: image(f, table=TABLE.replace("\tB\t", "\tL_B\t")),
        image,
        "warning",
        "another hemisphere than their name: 'L_B'",
    ),
    "key 0 by its name": (
        lambda f: labels(f, ["A", "B"]),
        lambda f: labels(f, ["???", "B"]),
        "note",
        "key 0 is a region by its name: A",
    ),
    "gaps": (
        lambda f: image(f, values=BOXES * 3, table="index\tname\n3\tA\n6\tB\n"),
        image,
        "note",
        "keys have gaps: 2 keys from 3 to 6",
    ),
    "entries of one key": (
        lambda f: text(f, "index\tname\n1\tA\n1\tB\n2\tC\n"),
        lambda f: text(f, "index\tname\n1\tA\n2\tC\n"),
        "warning",
        "several entries have one key: 1",
    ),
    "across the midline": (
        lambda f: image(f, values=changed((1, (slice(7, 9), 6, slice(1, 5))))),
        lambda f: image(f, values=changed((1, (slice(1, 3), 6, slice(1, 5))))),
        "warning",
        "parcels of one hemisphere reach into the other: A",
    ),
    "pieces": (
        lambda f: image(f, values=changed((1, (slice(1, 4), 6, 1)))),
        lambda f: image(f, values=changed((1, (slice(1, 4), 4, 1)))),
        "note",
        "parcels in several pieces: A (2 pieces)",
    ),
    "vertices of 0": (
        lambda f: gifti(f, np.where(np.arange(6) == 2, 0, ROWS)),
        lambda f: gifti(f, ROWS),
        "warning",
        "1 of 6 locations are 0 at all times",
    ),
    "data of no side": (
        lambda f: gifti(f, ROWS, "x.func.gii", ""),
        lambda f: gifti(f, ROWS, "x.func.gii"),
        "warning",
        "neither the file nor its name states a hemisphere",
    ),
    "data of two sides": (
        lambda f: gifti(f, ROWS, "x.R.func.gii"),
        lambda f: gifti(f, ROWS),
        "warning",
        "states hemisphere L, its name R",
    ),
    "data of no space": (
        lambda f: gifti(f, ROWS),
        lambda f: gifti(f, ROWS, "space-fsLR_hemi-L_x.func.gii"),
        "note",
        "states a space",
    ),
    "a surface of two sides": (
        lambda f: surface(f, name="x.R.surf.gii"),
        surface,
        "warning",
        "states hemisphere L, its name R",
    ),
    "a surface of no side": (
        lambda f: surface(f, name="x.surf.gii", side=""),
        lambda f: surface(f, name="x.surf.gii"),
        "warning",
        "neither the file nor its name states a hemisphere",
    ),
    "coordinates of NaN": (
        lambda f: surface(f, np.where(POINTS == -50, np.nan, POINTS)),
        surface,
        "warning",
        "3 vertices have coordinates that are not finite",
    ),
    "another unit": (
        lambda f: surface(f, POINTS * [0.002, 0.001, 0.001]),
        lambda f: surface(f, POINTS * [2, 1, 1]),
        "warning",
        "is it in another unit?",
    ),
    "no triangle": (
        lambda f: freesurfer(f, np.zeros((0, 3), int)),
        lambda f: freesurfer(f, FACES),
        "warning",
        "it has no triangle",
    ),
    "a vertex of no triangle": (
        lambda f: surface(f, np.concatenate([POINTS, [[50, 50, 50]]])),
        surface,
        "warning",
        "1 vertices are in no triangle",
    ),
    "a flat triangle": (
        lambda f: surface(f, faces=np.concatenate([FACES, [[0, 0, 2]]])),
        surface,
        "warning",
        "1 triangles have one vertex twice",
    ),
    "a ring": (
        lambda f: surface(f, *torus()),
        surface,
        "warning",
        "no sphere by its triangles (Euler characteristic 0, not 2)",
    ),
    "no vertex": (
        lambda f: vertices(f, []),
        lambda f: vertices(f, [1, 2]),
        "warning",
        "it lists no vertex",
    ),
    "a vertex twice": (
        lambda f: vertices(f, [1, 2, 2]),
        lambda f: vertices(f, [1, 2]),
        "warning",
        "1 vertices are listed twice",
    ),
    "vertices of no side": (
        lambda f: vertices(f, [1], "m.label"),
        lambda f: vertices(f, [1]),
        "note",
        "its name states no hemisphere",
    ),
    "a transform of no spaces": (
        lambda f: text(f, ITK, "x.txt"),
        lambda f: text(f, ITK, "from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt"),
        "note",
        "does not say which spaces it moves images between",
    ),
    "a matrix of FSL": (
        lambda f: text(f, MATRIX, "x.mat"),
        lambda f: text(f, ITK, "x.mat"),
        "note",
        "reference",
    ),
    # Of what the package writes itself.
    "a parcel without data": (
        lambda f: text(f, "name\tA\tB\tC\nA\t1\t.5\tn/a\nB\t.5\t1\tn/a\nC\tn/a\tn/a\tn/a\n"),
        lambda f: text(f, "name\tA\tB\nA\t1\t.5\nB\t.5\t1\n"),
        "note",
        "parcels without data, NaN throughout: C",
    ),
    "an entry of NaN": (
        lambda f: text(f, "name\tA\tB\nA\t1\tn/a\nB\tn/a\t1\n"),
        lambda f: text(f, "name\tA\tB\nA\tn/a\t.5\nB\t.5\tn/a\n"),
        "warning",
        "2 entries are NaN",
    ),
    "an infinite entry": (
        lambda f: text(f, "name\tA\tB\nA\t1\tinf\nB\tinf\t1\n"),
        lambda f: text(f, "name\tA\tB\nA\t1\t2\nB\t2\t1\n"),
        "warning",
        "2 entries are infinite",
    ),
    "a parcel of no edge": (
        lambda f: text(f, "name\tA\tB\tC\nA\t1\t.5\t0\nB\t.5\t1\t0\nC\t0\t0\t1\n"),
        lambda f: text(f, "name\tA\tB\nA\t1\t.5\nB\t.5\t1\n"),
        "warning",
        "nothing but 0 to all others: C",
    ),
    "a correlation of 2": (
        lambda f: text(f, "name\tA\tB\nA\t1\t2\nB\t2\t1\n", "x_stat-pearsoncorrelation_relmat.tsv"),
        lambda f: text(f, "name\tA\tB\nA\t1\t2\nB\t2\t1\n", "x_stat-covariance_relmat.tsv"),
        "warning",
        "2 entries lie beyond -1 and 1",
    ),
    "a correlation of one direction": (
        lambda f: text(
            f, "name\tA\tB\nA\t1\t.5\nB\t.4\t1\n", "x_stat-pearsoncorrelation_relmat.tsv"
        ),
        lambda f: text(f, "name\tA\tB\nA\t1\t.5\nB\t.4\t1\n"),
        "warning",
        "not symmetric, as correlations are: entries differ by up to 0.1",
    ),
    "a series without data": (
        lambda f: text(f, "A\tB\n1\tn/a\n2\tn/a\n"),
        lambda f: text(f, "A\tB\n1\t1\n2\t3\n"),
        "note",
        "parcels without data, NaN throughout: B",
    ),
    "a series with a gap": (
        lambda f: text(f, "A\tB\n1\tn/a\n2\t3\n3\t5\n"),
        lambda f: text(f, "A\tB\n1\tn/a\n2\tn/a\n3\tn/a\n"),
        "warning",
        "NaN or infinity at 1 of 2 parcels",
    ),
    "a series of one value": (
        lambda f: text(f, "A\tB\n1\t5\n2\t5\n"),
        lambda f: text(f, "A\tB\n1\t5\n2\t6\n"),
        "warning",
        "1 of 2 parcels have one value at all times",
    ),
    "one time point": (
        lambda f: text(f, "A\tB\n1\t5\n"),
        lambda f: text(f, "A\tB\n1\t5\n2\t6\n"),
        "note",
        "it has 1 time points",
    ),
    "series of one name": (
        lambda f: text(f, "A\tA\n1\t5\n2\t6\n"),
        lambda f: text(f, "A\tB\n1\t5\n2\t6\n"),
        "warning",
        "several parcels have one name: 'A'",
    ),
    "values that are missing": (
        lambda f: text(f, "name\ta\nA\t1.5\nB\tn/a\n"),
        lambda f: text(f, "name\ta\nA\t1.5\nB\t2\n"),
        "note",
        "1 of 2 values are missing",
    ),
    "nodes of one name": (
        lambda f: text(f, "1 2 3 1 5 A\n1 2 4 1 5 A\n", "x.node"),
        lambda f: text(f, "1 2 3 1 5 A\n1 2 4 1 5 B\n", "x.node"),
        "warning",
        "several nodes have one name: 'A'",
    ),
    "nodes that lack a cell": (
        lambda f: text(f, "1 2 3 1 A\n", "x.node"),
        lambda f: text(f, "1 2 3 1 5 A\n", "x.node"),
        "error",
        "row 1 has 5 cells for 6 columns",
    ),
    "a repetition time of none": (
        lambda f: text(f, '{"RepetitionTime": "2 s"}', "sub-1_bold.json"),
        lambda f: text(f, '{"RepetitionTime": 2}', "sub-1_bold.json"),
        "warning",
        "RepetitionTime should be seconds above 0, is '2 s'",
    ),
    "confounds of text": (
        lambda f: text(f, "csf\ttrans_x\n1\t0.1 mm\n", "x_desc-confounds_timeseries.tsv"),
        lambda f: text(f, "csf\ttrans_x\n1\t0.1\n", "x_desc-confounds_timeseries.tsv"),
        "warning",
        "columns that hold text: trans_x",
    ),
}


@pytest.mark.parametrize("case", ODDITIES)
def test_an_oddity_is_found_where_it_is(tmp_path, case):
    *make, level, told = ODDITIES[case]
    for name, write, is_odd in zip(("odd", "plain"), make, (True, False), strict=True):
        (tmp_path / name).mkdir()
        report = ai.check_file(write(tmp_path / name))
        found = [f for f in report.findings if told in f.text]
        assert [f.level for f in found] == [level] * is_odd, f"{name}: {report}"
        assert report.status < 2 or level == "error", str(report)


# Pairs: two files, the level, and what is said of both.


def mask(folder, first, name="mask"):
    values = np.zeros_like(BOXES)
    values[first:] = 1
    return image(folder, values, "", f"space-MNI152NLin6Asym_{name}")


def data(folder, name="space-MNI152NLin6Asym_bold.nii", n_time=3, shape=BOXES.shape):
    values = np.random.default_rng(0).normal(size=(*shape, n_time)).astype(np.float32)
    found = nb.Nifti1Image(values, AFFINE)
    found.header.set_xyzt_units("mm", "sec")
    nb.save(found, folder / name)
    return folder / name


def transform(folder, origin, goal):
    return text(folder, ITK, f"from-{origin}_to-{goal}_mode-image_xfm.txt")


def matrix(folder, names, name="m.csv"):
    rows = "".join(
        f"{n},{','.join(map(str, np.eye(len(names))[i] + 1))}\n" for i, n in enumerate(names)
    )
    return text(folder, f"name,{','.join(names)}\n{rows}", name)


MNI, OTHER = "MNI152NLin6Asym", "MNI152NLin2009cAsym"
SWAPPED = FACES[:, [1, 0, 2]]
PAIRS = {
    "a mask of all": (image, lambda f: mask(f, 0), "note", "100% of the atlas's locations lie in"),
    "a mask of a part": (
        image,
        lambda f: mask(f, 2),
        "note",
        "83% of the atlas's locations lie in",
    ),
    "a mask that cuts": (
        image,
        lambda f: mask(f, 5),
        "warning",
        "50% of the atlas's locations lie in the mask, and none of A",
    ),
    "a transform out of the space": (
        image,
        lambda f: transform(f, MNI, "T1w"),
        "note",
        f"moves images from {MNI} to T1w, and the other file is in {MNI}",
    ),
    "a transform into the space": (
        image,
        lambda f: transform(f, "T1w", MNI),
        "warning",
        f"the one of the other direction is needed, from {MNI}",
    ),
    "a transform of other spaces": (
        image,
        lambda f: transform(f, "T1w", OTHER),
        "warning",
        f"from T1w to {OTHER}, but the other file is in {MNI}",
    ),
    "a transform that states none": (
        image,
        lambda f: text(f, ITK, "x.txt"),
        "note",
        "its name does not say",
    ),
    "a transform of data": (
        data,
        lambda f: transform(f, "T1w", MNI),
        "warning",
        "the one of the other direction",
    ),
    "a transform of data of no space": (
        lambda f: data(f, "x_bold.nii"),
        lambda f: transform(f, "T1w", MNI),
        "note",
        "the other file states no space",
    ),
    "data of one grid": (
        data,
        lambda f: data(f, f"space-{MNI}_run-2_bold.nii", 5),
        "note",
        "the same grid or mesh of MNI152NLin6Asym; 3 and 5 time points or maps",
    ),
    "data of two grids": (
        data,
        lambda f: data(f, f"space-{MNI}_run-2_bold.nii", shape=(4, 5, 6)),
        "warning",
        "two grids: of (11, 8, 6) and (4, 5, 6) voxels of 2 x 2 x 2 and 2 x 2 x 2 mm",
    ),
    "data of two spaces": (
        data,
        lambda f: data(f, f"space-{OTHER}_bold.nii"),
        "warning",
        f"they are in '{MNI}' and '{OTHER}'",
    ),
    "data of two sides": (
        lambda f: gifti(f, ROWS),
        lambda f: gifti(f, ROWS[:, :5], "x.R.func.gii", "CortexRight"),
        "note",
        "no compartment in common",
    ),
    "data of one side": (
        lambda f: gifti(f, ROWS),
        lambda f: gifti(f, ROWS[:, :5], "y.L.func.gii"),
        "warning",
        "two meshes: of 6 and 5 vertices",
    ),
    "data and their surface": (
        lambda f: gifti(f, ROWS),
        surface,
        "note",
        "the vertices of the data",
    ),
    "data and another surface": (
        lambda f: gifti(f, ROWS),
        lambda f: surface(f, *torus()),
        "warning",
        "the data have 6 vertices, the surface 36",
    ),
    "data and the other side": (
        lambda f: gifti(f, ROWS),
        lambda f: surface(f, name="x.R.surf.gii", side="CortexRight"),
        "warning",
        "the data are of hemisphere L, the surface of R",
    ),
    "volumes and a surface": (data, surface, None, ""),
    "shapes of one mesh": (
        surface,
        lambda f: surface(f, POINTS * 1.5, name="y.L.surf.gii"),
        "note",
        "two shapes of one mesh",
    ),
    "shapes of two meshes": (
        surface,
        lambda f: surface(f, faces=SWAPPED, name="y.L.surf.gii"),
        "warning",
        "as many vertices, but other triangles",
    ),
    "surfaces of other sizes": (
        surface,
        lambda f: surface(f, *torus(), name="y.L.surf.gii"),
        "warning",
        "they have 6 and 36 vertices",
    ),
    "both sides": (
        surface,
        lambda f: surface(f, faces=SWAPPED, name="y.R.surf.gii", side="CortexRight"),
        None,
        "",
    ),
    "vertices of a surface": (surface, lambda f: vertices(f, [1, 5]), "note", "has all vertices"),
    "vertices beyond a surface": (
        surface,
        lambda f: vertices(f, [1, 6]),
        "warning",
        "the list names vertex 6, where there are 6",
    ),
    "vertices of the other side": (
        surface,
        lambda f: vertices(f, [1], "rh.m.label"),
        "warning",
        "the list is of hemisphere R",
    ),
    "vertices of an atlas": (
        lambda f: labels(f, ["???", "B"]),
        lambda f: vertices(f, [59]),
        "note",
        "has all vertices",
    ),
    "a connectome of an atlas": (
        image,
        lambda f: matrix(f, ["A", "B"]),
        "note",
        "the same 2 parcels, in the same order",
    ),
    "series of a connectome": (
        lambda f: text(f, "B\tA\n1\t2\n2\t4\n", "s.tsv"),
        lambda f: matrix(f, ["A", "B"]),
        "note",
        "the same 2 parcels, in another order",
    ),
    "series of another atlas": (
        image,
        lambda f: text(f, "A\tC\n1\t2\n2\t4\n", "s.tsv"),
        "warning",
        "dseg.nii has 'B'; only",
    ),
    "values of nodes": (
        lambda f: text(f, "name\tx\nmy A\t1.5\nB\t2\n", "v.tsv"),
        lambda f: text(f, "1 2 3 1 5 my_A\n1 2 4 1 5 B\n", "x.node"),
        "note",
        "the same 2 parcels, in the same order",
    ),
}


@pytest.mark.parametrize("case", PAIRS)
def test_pairs(tmp_path, case):
    first, second, level, told = PAIRS[case]
    files = [first(tmp_path), second(tmp_path)]
    # The order in which they are named says nothing.
    for paths in (files, files[::-1]):
        report = ai.check_files(paths)
        assert [f.level for f in report.together] == ([level] if level else []), str(report)
        # Of two of a kind what is said is in their order.
        swapped = paths is not files and report.files[0].kind == report.files[1].kind
        assert swapped or told in "".join(f.text for f in report.together), str(report)
