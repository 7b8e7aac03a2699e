"""A small file for every reader of the package, and what is done with it.

The seeds derive from the tables of formats where there is one; `test_fuzz` fails where a function
that opens files is reached by none of them.
"""

import dataclasses
import functools
import gzip
import io
import json
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from helpers_extraction import volume_atlas
from helpers_surfaces import brain_atlas
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, ScalarAxis, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage

import atlasinit as ai
from atlasinit.catalogue.layouts.grayordinates import cortex_vertices, grayordinate_parts
from atlasinit.catalogue.layouts.spheres import sphere_parts
from atlasinit.catalogue.transfer.integrity import find_damage
from atlasinit.cli.values import read_meshes, read_numbers
from atlasinit.extraction.cleaning import Cleaning, check_columns, read_confounds
from atlasinit.extraction.naming import read_sidecar
from atlasinit.extraction.state import Ledger
from atlasinit.extraction.tables import read_runs
from atlasinit.figures.backdrops import find_backdrop
from atlasinit.io import open_data, parcel_matrices, read_values
from atlasinit.io.formats.registry import find_format, format_of
from atlasinit.io.input import Input
from atlasinit.io.overlay import surfaces
from atlasinit.io.seeds import read_seeds
from atlasinit.io.targets import holds_locations, holds_surface, read_target
from atlasinit.io.timing import read_repetition_time
from atlasinit.transforms import Transform
from atlasinit.transforms.files import read_transform

KEYS = np.arange(60, dtype=np.int32) % 4
WEIGHTS = np.linspace(0, 0.75, 60, dtype=np.float32)
AFFINE = np.diag([2.0, 2, 3, 1])
IMAGE = nb.Nifti1Image(KEYS.reshape(5, 4, 3).astype(np.int16), AFFINE)
TABLES = {
    "x.tsv": "index\tname\tcolor\n1\tA a\t#ff0000\n2\tB\t#00ff00\n3\tC\t#0000ff\n",
    "x.csv": "key,name,red,green,blue\n1,A,255,0,0\n2,B,0,255,0\n3,C,0,0,255\n",
    "x.lut": "1 0.5 0.1 0.2 A\n2 0.1 0.4 0.4 B\n3 1 0 0 C\n",
    "x.txt": "0 Unknown 0 0 0 0\n1 A 25 5 25 0\n2 B 120 18 134 0\n3 C 1 2 3 0\n",
    "x.json": json.dumps(
        {"1": {"name": "A", "color": "#ff0000"}, "2": {"name": "B"}, "3": {"name": "C"}}
    ),
    "x.xml": "<atlas><data><label index='0'>A</label><label index='1'>B</label>"
    "<label index='2'>C</label></data></atlas>",
    # Of Workbench, MRtrix, ITK-SNAP, Slicer and AFNI.
    "workbench.txt": "A\n1 255 0 0 255\nB\n2 0 255 0 255\nC\n3 0 0 255 255\n",
    "mrtrix.txt": "#No. Label R G B A\n1 A 1 2 3 255\n2 B 4 5 6 255\n3 C 7 8 9 255\n",
    "snap.label": '0 0 0 0 0 0 0 "Clear"\n1 255 0 0 1 1 1 "A"\n2 0 255 0 1 1 1 "B"\n3 0 0 1 1 1 1 "C"\n',
    "slicer.ctbl": "# Color table\n0 none 0 0 0 0\n1 A 255 0 0 255\n2 B 0 255 0 255\n3 C 9 9 9 255\n",
    "afni.niml.lt": '<VALUE_LABEL_DTABLE ni_type="2*String">\n"1" "A"\n"2" "B"\n"3" "C"\n'
    "</VALUE_LABEL_DTABLE>\n",
    "afni.txt": '<ATLAS_POINT STRUCT="A" VAL="1" />\n<ATLAS_POINT STRUCT="B" VAL="2" />\n'
    '<ATLAS_POINT STRUCT="C" VAL="3" />\n',
    "bids.json": json.dumps({"LabelMap": {"A": 1, "B": 2, "C": 3}}),
}
_LTA = """type = 1
nxforms = 1
mean = 0 0 0
sigma = 1.0
1 4 4
1 0 0 3
0 1 0 -2
0 0 1 4
0 0 0 1
{src}{dst}subject x
fscale 0.15
"""
_LTA_VOLUME = """{name} volume info
valid = 1
filename = x.mgz
volume = 5 4 3
voxelsize = 2 2 3
xras = 1 0 0
yras = 0 1 0
zras = 0 0 1
cras = 0 0 0
"""
_ITK_TEXT = """#Insight Transform File V1.0
#Transform 0
Transform: AffineTransform_double_3_3
Parameters: 1 0 0 0 1 0 0 0 1 3 -2 4
FixedParameters: 5 -7 2
"""


@dataclasses.dataclass(frozen=True)
class Seed:
    """A file without damage, and what is done with it.

    Of every so many of its numbers a long run takes one, where each starts a process.
    """

    name: str
    content: bytes
    use: Callable[[Path], object]
    every: int = 1


@functools.cache
def seeds() -> tuple[Seed, ...]:
    """Return a file of every format, own and foreign, with each thing that is done with one."""
    foreign = [*_foreign()]
    found = [Seed(name, content, _load) for name, content in (*foreign, *_own())]
    for name, content in foreign:
        found += [Seed(name, content, use) for use in _uses(name, content)]
    for name, text in TABLES.items():
        use = lambda path: ai.load_atlas(IMAGE, space="x", labels=path)  # noqa: E731
        found.append(Seed(name, text.encode(), use))
    makers = (
        _pairs,
        _masks,
        _surfaces,
        _descriptions,
        _matrices,
        _transforms,
        _lists,
        _runs,
        _layouts,
    )
    return (*found, *(seed for make in makers for seed in make()))


def _load(path: Path) -> object:
    atlas = ai.load_atlas(path, space="fsLR")
    return atlas.labels, repr(atlas), {c: m.totals() for c, m in atlas.maps.items()}


def _uses(name: str, content: bytes) -> Iterator[Callable[[Path], object]]:
    """Yield what is done with a file besides reading an atlas: what its format says it holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        with Input(path) as source:
            form = find_format(source)
            assert form is not None
            assert form.read is None or format_of(source) is form
    surface, volume = _atlases()
    of_vertices = name.startswith("lh.") or ".gii" in name or ".d" in name
    # What are labels is no data.
    if form.values is not None and not any(
        word in name for word in (".label.", ".dlabel.", "annot")
    ):
        atlas = surface if of_vertices else volume
        yield lambda path: open_data(path, atlas).all()
        if name == "xASCII.func.gii":
            yield lambda path: open_data({"cortex_L": path}, surface).all()
        if name == "x.nii.gz":
            yield lambda path: _project(path, volume)
    if form.vertices is not None and of_vertices:
        yield surfaces.read_values
    if name.startswith("x.") and name.endswith((".nii", ".nii.gz", ".mgh", ".mgz")):
        yield lambda path: (holds_locations(path), read_target(path))
    if not of_vertices:
        grid = ai.VolumeGrid(IMAGE.shape, IMAGE.affine)
        yield lambda path: find_backdrop(volume, path, grid)
    if name.endswith((".nii", ".nii.gz", ".gii")):
        yield read_repetition_time
    if name in ("x.nii", "x.dscalar.nii", "xASCII.func.gii"):
        yield ai.check_file
    yield find_damage


@functools.cache
def _atlases() -> tuple[ai.Atlas, ai.Atlas]:
    """Return an atlas of vertices, and one of voxels."""
    surface, volume = (ai.load_atlas(given, space="fsLR") for given in ({"cortex_L": KEYS}, IMAGE))
    return surface, volume


def _project(path: Path, atlas: ai.Atlas) -> object:
    data = open_data(path, atlas)
    weights = atlas.maps["volume"].to_scipy()
    return data.all() if data.sums is None else list(data.sums.of(weights))


def _pairs() -> Iterator[Seed]:
    """Yield headers and numbers that are files of their own: NIfTI, and ANALYZE."""
    for kind in (nb.Nifti1Pair, nb.Spm99AnalyzeImage):
        image = kind(np.asarray(IMAGE.dataobj), AFFINE)
        with tempfile.TemporaryDirectory() as folder:
            nb.save(image, Path(folder) / "x.img")
            content = {e: (Path(folder) / f"x{e}").read_bytes() for e in (".hdr", ".img")}
        for ending, other in ((".hdr", ".img"), (".img", ".hdr")):
            # The name tells the two kinds apart, as a file beside stays for the next input.
            stem = f"pair_{kind.__name__}{ending[1:]}"

            def use(path: Path, beside: bytes = content[other], other: str = other) -> object:
                path.with_suffix(other).write_bytes(beside)
                with warnings.catch_warnings():
                    # ANALYZE states no orientation.
                    warnings.simplefilter("ignore", ai.AtlasWarning)
                    return _load(path)

            yield Seed(f"{stem}{ending}", content[ending], use)


def _gifti(values: np.ndarray, intent: str, encoding: str) -> bytes:
    array = GiftiDataArray(values, intent=intent, datatype=str(values.dtype), encoding=encoding)
    image = GiftiImage(darrays=[array])
    image.meta["AnatomicalStructurePrimary"] = "CortexLeft"
    return image.to_bytes()


def _cifti(values: np.ndarray, axis: LabelAxis | ScalarAxis | SeriesAxis) -> bytes:
    brain = BrainModelAxis.from_surface(range(60), 60, "CIFTI_STRUCTURE_CORTEX_LEFT")
    return Cifti2Image(np.atleast_2d(values).astype(np.float32), header=(axis, brain)).to_bytes()


def _saved(save: Callable[[Path], object], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keys, empty parcels and the like, which are meant
        save(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def _foreign() -> Iterator[tuple[str, bytes]]:
    """Yield files as other programs write them."""
    volume = IMAGE.to_bytes()
    mgh = nb.MGHImage(KEYS.reshape(5, 4, 3), AFFINE.astype(np.float32)).to_bytes()
    yield from (("x.nii", volume), ("x.nii.gz", gzip.compress(volume)))
    yield from (("x.mgh", mgh), ("x.mgz", gzip.compress(mgh)))
    yield (
        "lh.area.mgh",
        nb.MGHImage(WEIGHTS.reshape(60, 1, 1), AFFINE.astype(np.float32)).to_bytes(),
    )
    for encoding in ("ASCII", "B64BIN", "B64GZ"):
        yield f"x{encoding}.label.gii", _gifti(KEYS, "NIFTI_INTENT_LABEL", encoding)
        yield f"x{encoding}.func.gii", _gifti(WEIGHTS, "NIFTI_INTENT_NONE", encoding)
    yield "x.shape.gii.gz", gzip.compress(_gifti(WEIGHTS, "NIFTI_INTENT_SHAPE", "B64GZ"))
    names = {i: (f"p{i}", (i / 4, 0.2, 0.3, 1.0)) for i in range(4)}
    yield "x.dlabel.nii", _cifti(KEYS, LabelAxis(["x"], [names]))
    yield "x.dscalar.nii", _cifti(WEIGHTS, ScalarAxis(["x"]))
    yield "x.dtseries.nii", _cifti(WEIGHTS, SeriesAxis(0, 1, 1))
    table = np.array([[0, 0, 0, 0], *([60 * i, 20, 30, 0] for i in range(1, 4))])
    names = ["unknown", "p1", "p2", "p3"]
    savers: dict[str, Callable[[Path], object]] = {
        "lh.x.annot": lambda path: nb.freesurfer.write_annot(path, KEYS, table, names),
        "lh.thickness": lambda path: nb.freesurfer.write_morph_data(path, WEIGHTS),
        "lh.x.csv": lambda path: np.savetxt(path, KEYS, fmt="%d"),
        "lh.x.npy": lambda path: np.save(path, KEYS),
        "lh.x.npz": lambda path: np.savez_compressed(path, x=KEYS),
    }
    for name, save in savers.items():
        yield name, _saved(save, name)


def _own() -> Iterator[tuple[str, bytes]]:
    """Yield files as atlasinit writes them."""
    whole = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49])
    left, volume = whole.select(compartments="cortex_L"), whole.select(compartments="subcortex")
    for name, atlas in (
        ("own.x.npz", whole),
        ("own.x.safetensors", whole),
        ("own.x.scipy.npz", whole),
        ("own.x.weight.safetensors", whole),
        ("own.x.dscalar.nii", whole),
        ("own.x.dlabel.nii", whole.harden()),
        ("own.x.nii", volume),
        ("own.x.func.gii", left),
        ("own.x.label.gii", left.harden()),
        ("lh.own.annot", left.harden()),
    ):
        yield name, _saved(lambda path, atlas=atlas: ai.save_atlas(atlas, path), name)


def _masks() -> Iterator[Seed]:
    lines = "".join(f"{v}  1.0  2.0  3.0 0.0\n" for v in range(9))
    vertices = f"#!ascii label\n9\n{lines}".encode()
    masked = lambda path: ai.load_atlas({"cortex_L": KEYS}, space="x", mask={"cortex_L": path})  # noqa: E731
    yield Seed("lh.m.label", vertices, masked)
    yield Seed("lh.m.label", vertices, ai.check_file)
    image = nb.Nifti1Image((KEYS.reshape(5, 4, 3) > 0).astype(np.uint8), AFFINE)
    for name in ("x.mask.nii", "x.mask.nii.gz"):
        content = image.to_bytes()
        content = gzip.compress(content) if name.endswith("gz") else content
        yield Seed(name, content, lambda path: ai.load_atlas(IMAGE, space="x", mask=path))
        yield Seed(name, content, lambda path: ai.load_atlas(IMAGE, space="x", mask=_where(path)))


def _where(path: Path) -> tuple[dict[str, Path], str]:
    return {"gm": path}, "gm > 0.5 and not gm >= 2"


def _surfaces() -> Iterator[Seed]:
    """Yield meshes to lay under labels, and areas of their vertices."""
    points = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32) * 50
    faces = np.random.default_rng(1).integers(0, 60, (100, 3)).astype(np.int32)
    arrays = [
        GiftiDataArray(values, intent=f"NIFTI_INTENT_{intent}", datatype=str(values.dtype))
        for intent, values in (("POINTSET", points), ("TRIANGLE", faces))
    ]

    def lay(path: Path) -> object:
        given = {"cortex_L": {"sphere": path}}
        return ai.load_atlas({"cortex_L": KEYS}, space="x", meshes=given).geometry

    written = _saved(lambda path: nb.freesurfer.write_geometry(path, points, faces), "lh.sphere")
    for use in (lay, lambda path: read_meshes({"sphere": [path]}), holds_surface):
        yield Seed("lh.sphere.surf.gii", GiftiImage(darrays=arrays).to_bytes(), use)
        yield Seed("lh.sphere", written, use)


def _descriptions() -> Iterator[Seed]:
    """Yield the texts that lie beside an image in a dataset."""
    texts = {
        "dataset_description.json": {"Name": "x", "BIDSVersion": "1.11.0", "License": "CC0"},
        "tpl-x_atlas-y_dseg.json": {"Name": "x", "License": "CC0", "ReferencesAndLinks": ["a"]},
        "atlas-y_description.json": {"Name": "x", "License": "CC0", "ReferencesAndLinks": ["a"]},
    }

    def load(path: Path) -> object:
        nb.save(IMAGE, path.with_name("tpl-x_atlas-y_dseg.nii.gz"))
        path.with_name("tpl-x_atlas-y_dseg.tsv").write_text(TABLES["x.tsv"])
        return ai.load_atlas(path.parent), ai.load_atlas(
            path.with_name("tpl-x_atlas-y_dseg.nii.gz")
        )

    for name, fields in texts.items():
        yield Seed(name, json.dumps(fields).encode(), load)
    atlas = volume_atlas()
    with tempfile.TemporaryDirectory() as folder:
        ai.save_atlas(atlas, Path(folder) / "x", format="bids")
        found = {file.relative_to(folder): file for file in Path(folder).rglob("*.*")}
        files = {name: file.read_bytes() for name, file in found.items()}

    def add(path: Path) -> object:
        """Add an atlas to a dataset of which one text is damaged."""
        root = path.with_name(path.stem)
        shutil.rmtree(root, ignore_errors=True)
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        shutil.copy(path, root / "x" / path.name)
        entities = {"desc": "second"}
        return ai.save_atlas(atlas, root / "x", format="bids", entities=entities, overwrite=True)

    for name, content in files.items():
        if len(name.parts) == 2 and name.suffix == ".json":
            yield Seed(name.name, content, add)


def _check_matrix(path: Path) -> object:
    return ai.check_file(path), parcel_matrices.read_matrix(path)


def _check_series(path: Path) -> object:
    return ai.check_file(path), read_repetition_time(path)


def _matrices() -> Iterator[Seed]:
    """Yield a matrix of each format, and tables of values of parcels."""
    atlas = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49])
    matrix = np.random.default_rng(0).normal(size=(7, 7))
    for ending in parcel_matrices.FORMATS:
        save = lambda path: ai.save_matrix(matrix + matrix.T, atlas, path)  # noqa: E731
        yield Seed(f"m{ending}", _saved(save, f"m{ending}"), _check_matrix)
    for ending in (".pscalar.nii", ".ptseries.nii"):
        save = lambda path: ai.save_values(np.ones((7, 2)), atlas, path)  # noqa: E731
        yield Seed(f"v{ending}", _saved(save, f"v{ending}"), _check_series)
    for name, text in (
        ("x_timeseries.tsv", "A\tB\n1.5\tn/a\n2\t3\n"),
        ("x_bold.json", '{"RepetitionTime": 2.5, "Description": "text"}'),
        ("x.node", "1.5\t-2\t3\t1\t60\tA\n1\t2\t3\t2\t7\tB\n"),
        ("x_quality.tsv", "run\tstatus\nsub-1\tdone\nsub-2\tfailed\n"),
        ("x-confounds_timeseries.tsv", "csf\ttrans_x\n1.5\tn/a\n2\t3\n"),
    ):
        yield Seed(name, text.encode(), ai.check_file)
    names = "".join(f"{name},{i}.5,n/a\n" for i, name in enumerate(atlas.table["name"]))
    for name, text in (
        ("v.csv", f"name,a,b\n{names}"),
        ("v.tsv", "index\tvalue\n1\t0.5\n2\t1e-3\n"),
        ("w.tsv", "\t".join(atlas.table["name"]) + "\n" + "\t".join("1234567") + "\n"),
    ):
        yield Seed(name, text.encode(), read_values)


def _transforms() -> Iterator[Seed]:
    """Yield a spatial transform of each kind."""
    import h5py
    from scipy.io import savemat

    def read(path: Path) -> object:
        step = read_transform(Transform(path, reference=IMAGE, moving=IMAGE))
        return step.points(np.zeros((3, 3)))

    field = np.linspace(-1, 1, 180, dtype=np.float32).reshape(5, 4, 3, 3)
    itk = nb.Nifti1Image(field[:, :, :, None], AFFINE)
    itk.header.set_intent("vector")
    fsl = nb.Nifti1Image(field, AFFINE)
    numbers = [1.0, 0, 0, 0, 1, 0, 0, 0, 1, 3, -2, 4]
    columns = {"AffineTransform_double_3_3": np.array(numbers)[:, None], "fixed": np.ones((3, 1))}
    placed = [5.0, 4, 3, 0, 0, 0, 2, 2, 3, *np.eye(3).ravel()]

    def composite(path: Path) -> None:
        with h5py.File(path, "w") as file:
            group = file.create_group("TransformGroup")
            for i, (kind, values, fixed) in enumerate(
                (
                    ("CompositeTransform_double_3_3", None, None),
                    ("AffineTransform_double_3_3", numbers, np.zeros(3)),
                    ("DisplacementFieldTransform_float_3_3", field.ravel(), placed),
                )
            ):
                own = group.create_group(str(i))
                own["TransformType"] = np.array([kind.encode()], object)
                if values is not None:
                    own["TransformParameters"] = np.asarray(values)
                    own["TransformFixedParameters"] = np.asarray(fixed)

    def x5(path: Path) -> None:
        from nitransforms.io.x5 import to_filename
        from nitransforms.linear import Affine

        to_filename(path, [Affine(np.eye(4) + np.eye(4, k=3) * 2).to_x5()])

    volumes = {name: _LTA_VOLUME.format(name=name) for name in ("src", "dst")}
    for name, content in (
        ("itk.txt", _ITK_TEXT.encode()),
        ("x.lta", _LTA.format(**volumes).encode()),
        ("fsl.mat", b"1 0 0 3\n0 1 0 -2\n0 0 1 4\n0 0 0 1\n"),
        ("itk.nii", itk.to_bytes()),
        ("itk.nii.gz", gzip.compress(itk.to_bytes())),
        ("fsl.nii.gz", gzip.compress(fsl.to_bytes())),
        ("itk.mat", _saved(lambda path: savemat(path, columns, format="4"), "itk.mat")),
        ("itk.h5", _saved(composite, "itk.h5")),
        ("x.x5", _saved(x5, "x.x5")),
    ):
        yield Seed(name, content, read, every=50 if name in ("itk.h5", "x.x5") else 1)


def _lists() -> Iterator[Seed]:
    """Yield coordinates of seeds, numbers of volumes, and a workbook of labels."""
    seeds = "x,y,z,name,radius\n-2,4,4,left,2\n-6,4,4,right,2\n"
    yield Seed("seeds.csv", seeds.encode(), read_seeds)
    yield Seed("seeds.tsv", seeds.replace(",", "\t").encode(), read_seeds)
    yield Seed("kept.txt", b"0 1 2, 3\n7\n", lambda path: read_numbers(path, "sample_mask"))

    def workbook(path: Path) -> None:
        import pandas as pd

        pd.DataFrame({"index": [1, 2, 3], "name": list("ABC")}).to_excel(path, index=False)

    use = lambda path: ai.load_atlas(IMAGE, space="x", labels=path)  # noqa: E731
    yield Seed("labels.xlsx", _saved(workbook, "labels.xlsx"), use)


def _runs() -> Iterator[Seed]:
    """Yield what lies beside a series in a dataset, and what an extraction keeps."""
    bold = "sub-1_task-rest_bold.nii.gz"

    def beside(read: Callable[[Path], object]) -> Callable[[Path], object]:
        def use(path: Path) -> object:
            nb.save(IMAGE, path.with_name(bold))
            return read(path)

        return use

    columns = ("trans_x", "framewise_displacement", "std_dvars")
    rows = ["n/a\tn/a\tn/a", *(f"{i}.5\t0.{i}\t1.{i}" for i in range(1, 6))]
    confounds = "\n".join(["\t".join(columns), *rows, ""]).encode()

    def regress(path: Path) -> object:
        wanted = Cleaning(confounds=("trans_x",), fd_threshold=0.45)
        check_columns(path, wanted)
        return read_confounds(path, [path.with_name(bold)], wanted, 6)

    yield Seed("confounds.tsv", confounds, beside(regress))
    yield Seed(
        "sub-1_task-rest_bold.json",
        b'{"RepetitionTime": 2.0, "SliceTiming": [0, 1]}',
        beside(lambda path: read_sidecar(path.with_name(bold))),
    )
    listed = f"path\tsub\tt_r\n{bold}\t1\t2.0\n".encode()
    yield Seed("runs.tsv", listed, beside(lambda path: read_runs(path, path.parent)))
    record = {
        "status": "done",
        "tasks": {"a": "0" * 32},
        "files": {"sub-1/a.tsv": [3, 0, "0" * 64]},
        "reason": "",
        "quality": {"fd": 0.1},
        "seconds": 1.0,
    }

    def resume(name: str) -> Callable[[Path], object]:
        def use(path: Path) -> object:
            root = path.with_name("out")
            shutil.rmtree(root, ignore_errors=True)
            ledger = Ledger(root)
            ledger.open()
            shutil.copy(path, ledger.folder / name)
            for found in ledger.records().values():
                ledger.remove(found)
            ledger.find_done("sub-1", {"a": "0" * 32})
            return ledger.settle({"t_r": 2.0, "atlases": {"a": "0"}}, ["sub-1"], overwrite=True)

        return use

    yield Seed("sub-1.json", json.dumps(record).encode(), resume("runs/sub-1.json"))
    options = {"t_r": 2.5, "atlases": {"a": "0"}}
    yield Seed("options.json", json.dumps(options).encode(), resume("options.json"))


def _layouts() -> Iterator[Seed]:
    """Yield what the catalogue's files are beside images: tables of centres, packed arrays."""
    grid: dict[str, Any] = {"shape": (5, 4, 3), "size": 2, "origin": (0, 0, 0)}
    table = "roi,x,y,z,name,radius(mm)\n1,2,2,2,A,2\n2,6,4,4,B,2\n"

    def lay(path: Path, **given: Any) -> object:
        return sphere_parts(path, grid, mask=None, radius=None, **{"regions": None, **given})

    yield Seed("centres.csv", table.encode(), lay)

    def place(path: Path) -> object:
        path.with_name("own.csv").write_text(table)
        return lay(path.with_name("own.csv"), regions=path)

    yield Seed("regions.txt", b"0=cortexMid,1=cortexL\n0\n1\n", place)
    arrays = io.BytesIO()
    np.savez_compressed(arrays, left=np.arange(50), right=np.arange(40))
    masks = {"cortex_L": ("m", "left"), "cortex_R": ("m", "right")}
    use = lambda path: cortex_vertices(masks, {"m": path})  # noqa: E731
    yield Seed("vertices.npz", arrays.getvalue(), use)
    labels = "\n".join(str(i % 4) for i in range(90)).encode()
    kept = {"cortex_L": np.arange(50), "cortex_R": np.arange(40)}

    def spread(path: Path) -> object:
        return grayordinate_parts(path, kept, n_vertices=60, subcortex=None, compartments=())

    yield Seed("labels.csv", labels, spread)
    codes = np.resize([code for _, code in surfaces._STRUCTURES], (5, 4, 3)).astype(np.int16)
    whole = np.ones(9, bool)
    use = lambda path: surfaces.grayordinates(whole, whole, path)  # noqa: E731
    yield Seed("codes.nii.gz", gzip.compress(nb.Nifti1Image(codes, AFFINE).to_bytes()), use)
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data/a.csv", "1,2,3\n" * 9)
    yield Seed("x.whl", wheel.getvalue(), find_damage)
