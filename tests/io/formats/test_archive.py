"""The package's own archive: exact round trips, and files that are none."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import mixed_atlas, table
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import atlasinit as ai
from atlasinit.io import read_atlas, save_atlas
from atlasinit.io.formats import archive, matrices
from atlasinit.io.formats.archive import FORMAT
from atlasinit.io.formats.registry import format_of
from atlasinit.io.input import Input


def meshes():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(12, 3)).astype(np.float32)
    faces = rng.integers(0, 12, (20, 3))
    return mixed_atlas().replace(
        geometry={
            "cortex_L": ai.SurfaceMesh(
                12,
                np.arange(10)[::-1],
                hemisphere="L",
                faces=faces,
                sphere=points,
                anatomical=points + 1,
                areas=rng.random(12),
            ),
            "cortex_R": ai.SurfaceMesh(12, hemisphere="R", sphere=points),
            "subcortex": ai.VolumeGrid(
                (3, 4, 5),
                np.diag([-2.0, 2.0, 1 / 3, 1.0]),
                [5, 3, 40, 41, 59, 0, 7],
                [("CIFTI_STRUCTURE_THALAMUS_LEFT", 4), ("CIFTI_STRUCTURE_THALAMUS_RIGHT", 3)],
            ),
        }
    )


def of_dtype(dtype):
    values = np.linspace(-1, 1, 12).reshape(3, 4).astype(jnp.dtype(dtype))
    return ai.Atlas(
        name="é",
        space="s",
        maps={"cortex_L": ai.DenseMaps(values)},
        geometry={"cortex_L": ai.SurfaceMesh(4, hemisphere="L")},
        labels=table(["cortex_L"] * 3, xyz=[(1, 2.5), None, ((1,), "a")], ok=[True, None, 1e-300]),
        provenance=ai.Provenance("files", "1", "CC0", "ü", (("a", "b"),), ("harden()",)),
    )


ATLASES = {
    "mixed": mixed_atlas,
    "meshes": meshes,
    "hard": lambda: mixed_atlas().harden(),
    "no parcels": lambda: mixed_atlas().select(compartments="cortex_L").select(hemisphere="L"),
    **{
        f"dense {d}": lambda d=d: of_dtype(d) for d in ("float16", "bfloat16", "float32", "float64")
    },
}


# Matrices are float32.
OTHER_TYPES = {"dense float16", "dense bfloat16", "dense float64"}
CASES = [
    (case, ending)
    for case in ATLASES
    for ending in FORMAT.endings
    if ending not in matrices.EXTENSIONS or case not in OTHER_TYPES
]


@pytest.mark.parametrize(("case", "ending"), CASES)
def test_round_trip_is_exact(tmp_path, case, ending):
    atlas = ATLASES[case]()
    (path,) = save_atlas(atlas, tmp_path / f"a{ending}")
    with Input(path) as source:
        assert format_of(source) is FORMAT
    again = read_atlas(path)
    assert again == atlas
    for own, read in zip(atlas.maps.values(), again.maps.values(), strict=True):
        assert type(own) is type(read)
        if not isinstance(own, ai.HardMaps):
            assert read.values.dtype == own.values.dtype


def test_name_meshes_and_provenance_are_laid_over(tmp_path):
    atlas = mixed_atlas()
    save_atlas(atlas, tmp_path / "a.npz")
    sphere = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    again = read_atlas(
        tmp_path / "a.npz",
        name="b",
        space="test",
        meshes={"cortex_R": {"sphere": sphere}},
        provenance=ai.Provenance(source="a colleague"),
    )
    assert again.name == "b"
    assert again.provenance == ai.Provenance(source="a colleague")
    np.testing.assert_array_equal(again.geometry["cortex_R"].sphere, sphere)
    assert again.maps["cortex_R"].n_parcels == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "other"}, "`space`: a.npz is in 'test', not 'other'"),
        ({"labels": {1: "A"}}, "`labels` does not apply to a.npz"),
        ({"mask": np.ones(3)}, "`mask`: an array should be of the grid's shape"),
        ({"background": 0}, "`background` does not apply"),
        ({"kind": "maps"}, "`kind` does not apply"),
        ({"scale": 2.0}, "`scale` does not apply"),
        ({"unlisted": "name"}, "`unlisted` does not apply"),
        ({"nan": "zero"}, "`nan` does not apply"),
    ],
)
def test_an_archive_states_everything(tmp_path, options, message):
    save_atlas(mixed_atlas(), tmp_path / "a.npz")
    with pytest.raises(ValueError, match=message):
        read_atlas(tmp_path / "a.npz", **options)


def test_files_without_pickle(tmp_path):
    save_atlas(meshes(), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)
        fields = json.loads(archive["atlasinit"].tobytes())
    assert (fields["format"], fields["version"]) == ("atlasinit.Atlas", 1)


def test_safetensors_of_another_program(tmp_path):
    save_file({"weight": np.ones((2, 3), np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(ai.AtlasFileError, match="w.safetensors: "):
        read_atlas(tmp_path / "w.safetensors", space="unknown")


def test_safetensors_hold_plain_arrays(tmp_path):
    (path,) = save_atlas(mixed_atlas(), tmp_path / "a.safetensors")
    arrays = load_file(path)
    np.testing.assert_array_equal(arrays["0.maps.labels"], mixed_atlas().maps["cortex_L"].labels)
    np.testing.assert_array_equal(arrays["2.maps.values"], mixed_atlas().maps["subcortex"].values)


def test_a_newer_version(tmp_path):
    (path,) = save_atlas(mixed_atlas(), tmp_path / "a.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    fields = json.loads(arrays["atlasinit"].tobytes()) | {"version": 99}
    arrays["atlasinit"] = np.frombuffer(json.dumps(fields).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(ai.AtlasFileError, match="version 99; this atlasinit reads .* version 1"):
        read_atlas(path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    (path,) = save_atlas(mixed_atlas(), tmp_path / "a.npz")
    before = path.read_bytes()

    def broken(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", broken)
    with pytest.raises(OSError, match="disk full"):
        save_atlas(meshes(), path, overwrite=True)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


# Damaged content

DAMAGE = {
    "a location beyond the last": ("indices", lambda a: np.where(np.arange(a.size) == 0, 10**6, a)),
    "a negative location": ("indices", lambda a: a - 9),
    "ends that go down": ("indptr", lambda a: a[::-1]),
    "ends beyond the weights": ("indptr", lambda a: a * 10**8),
    "ends that begin late": ("indptr", lambda a: np.maximum(a, 1)),
    "locations that are no whole numbers": ("indices", lambda a: a + 0.5),
    "fewer weights": ("values", lambda a: a[:-1]),
    "no ends": ("indptr", lambda a: a[:0]),
}


def changed(path, change):
    """Rewrite the arrays of an archive, and its hash as whoever made it so would."""
    plain = path.name.endswith(".safetensors")
    if plain:
        with safe_open(path, "np") as file:
            texts = file.metadata()
        arrays = load_file(path)
    else:
        with np.load(path) as file:
            arrays = dict(file)
        names = ("atlasinit", "atlasinit_sha256")
        texts = {name: arrays.pop(name).tobytes().decode() for name in names}
    change(arrays)
    texts["atlasinit_sha256"] = archive.digest(texts["atlasinit"], arrays)
    if plain:
        save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, path, metadata=texts)
        return
    np.savez(path, **arrays, **{n: np.frombuffer(t.encode(), np.uint8) for n, t in texts.items()})


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("ending", [".npz", ".safetensors", ".scipy.npz"])
def test_what_is_no_matrix_is_refused(tmp_path, damage, ending):
    (path,) = save_atlas(mixed_atlas().normalize(), tmp_path / f"a{ending}")
    title, change = DAMAGE[damage]
    name = {"values": "data"}.get(title, title) if ending == ".scipy.npz" else f"0.maps.{title}"

    def damaged(arrays):
        arrays[name] = change(arrays[name])

    changed(path, lambda arrays: None)
    assert read_atlas(path) == mixed_atlas().normalize()
    changed(path, damaged)
    with pytest.raises(ai.AtlasFileError, match=r"could not be read as an atlasinit archive: `ind"):
        read_atlas(path)


@pytest.mark.parametrize("damage", DAMAGE)
def test_sparse_maps_are_no_other_arrays(damage):
    own = mixed_atlas().normalize().maps["cortex_L"]
    arrays = {name: np.asarray(getattr(own, name)) for name in ("values", "indices", "indptr")}
    title, change = DAMAGE[damage]
    arrays[title] = change(arrays[title])
    with pytest.raises((ValueError, TypeError)):
        ai.SparseMaps(**arrays, n_locations=own.n_locations)


def test_matrices_of_other_sizes_than_described(tmp_path):
    (path,) = save_atlas(mixed_atlas(), tmp_path / "a.weight.safetensors")

    def shorter(arrays):
        arrays["weight"] = arrays["weight"][:-1]

    changed(path, shorter)
    with pytest.raises(ai.AtlasFileError, match="its matrix is of shape"):
        read_atlas(path)
    (path,) = save_atlas(mixed_atlas(), tmp_path / "b.weight.safetensors")

    def astray(arrays):
        arrays["weight"] = arrays["weight"].copy()
        arrays["weight"][0, -1] = 1

    changed(path, astray)
    with pytest.raises(ai.AtlasFileError, match="1 weights lie outside of their compartment"):
        read_atlas(path)


@pytest.mark.parametrize("ending", FORMAT.endings)
def test_every_flipped_bit_is_found(tmp_path, ending):
    (path,) = save_atlas(mixed_atlas(), tmp_path / f"a{ending}")
    right, stored = read_atlas(path), path.read_bytes()
    for at in np.random.default_rng(0).choice(8 * len(stored), 60, replace=False).tolist():
        flipped = bytearray(stored)
        flipped[at // 8] ^= 1 << at % 8
        path.write_bytes(flipped)
        # Of a zip archive not every byte means something: dates, for instance, do not.
        assert outcome(path) in (f"{path}: ", right)


def outcome(path):
    """Return the atlas of a file, or the beginning of what it is refused with."""
    try:
        return read_atlas(path, space="test")
    except ai.AtlasFileError as error:
        return str(error)[: len(f"{path}: ")]


def test_any_text_comes_back(tmp_path):
    name = "a \uffff \U0001fffe é"
    labels = {1: name, 2: "b"}
    atlas = ai.load_atlas({"cortex_L": np.array([1, 2, 0, 1])}, space="x", labels=labels)
    for ending in (".npz", ".safetensors", ".scipy.npz"):
        (path,) = save_atlas(atlas, tmp_path / f"a{ending}")
        assert read_atlas(path).table["name"] == (name, "b")
    for ending in (".label.gii", ".dlabel.nii", ".annot"):
        with pytest.raises(ValueError, match="cannot hold names with"):
            save_atlas(atlas, tmp_path / f"lh.a{ending}")
        assert not (tmp_path / f"lh.a{ending}").exists()


def test_a_safetensors_has_the_usual_permissions(tmp_path):
    modes = set()
    for ending in FORMAT.endings:
        (path,) = save_atlas(mixed_atlas(), tmp_path / f"a{ending}")
        modes.add(path.stat().st_mode)
    assert len(modes) == 1


def test_an_archive_that_unpacks_to_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("ATLASINIT_UNPACK_GIB", "0.001")
    path = tmp_path / "lh.x.npz"
    np.savez_compressed(path, x=np.zeros(10**6))
    with pytest.raises(ai.AtlasFileError, match="as files that are made to fill the memory do"):
        read_atlas(path, space="x")
