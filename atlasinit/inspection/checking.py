"""One file, or several, checked before they are used."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atlasinit.errors import (
    ArgumentError,
    ArgumentTypeError,
    AtlasFileError,
    Explained,
    Passing,
    nearest,
)
from atlasinit.inspection import outputs
from atlasinit.inspection.atlases import describe_atlas, note_atlas, read_leniently, state_atlas
from atlasinit.inspection.data import note_values, state_values
from atlasinit.inspection.findings import Checked, FileReport, FilesReport, Notes
from atlasinit.inspection.fitting import compare_files
from atlasinit.inspection.guessing import guess_use
from atlasinit.inspection.headers import describe_storage, note_header
from atlasinit.inspection.others import OTHERS
from atlasinit.inspection.parcellated import check_parcellated
from atlasinit.io.facts import Facts
from atlasinit.io.formats.base import Format
from atlasinit.io.formats.registry import find_format, format_of, read_values
from atlasinit.io.input import Input
from atlasinit.io.options import ReadOptions
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike

USES = ("atlas", "data")


def check_file(
    path: PathLike,
    *,
    use: str | None = None,
    labels: object = None,
    space: str | None = None,
) -> FileReport:
    """Return what a file is, what it states, what would be read of it, and what is odd.

    It is read by the readers that `atlasinit.load_atlas` and `atlasinit.project` use, whose
    warnings and errors are findings here. Where a reader refuses a file, the remedy that its
    error names is followed, so that one oddity does not hide the others: labels without an
    entry are named, NaN is taken for no label, of several maps of labels the first is read.

    Parameters
    ----------
    path
        An atlas (of any format, or a folder of BIDS or TemplateFlow), data (NIfTI, CIFTI-2,
        GIFTI, FreeSurfer overlays), a mask, a surface, a label table, a list of vertices, a
        spatial transform; or what this package writes besides: connectomes, series and values of
        parcels, sidecars, pages, and the folders of `atlasinit.extract`.
    use
        ``"atlas"`` or ``"data"``, for files of values, of which no header states it. By default
        by their names, what they state, and the numbers of their first map.
    labels
        Label table of an atlas in place of the file's own, as of `load_atlas`.
    space
        Of the atlas, where neither the file nor its name states it.

    Returns
    -------
    FileReport
        Its `FileReport.status` is 2 where the file cannot be read, 1 where anything is odd, 0
        where nothing is.

    Raises
    ------
    ArgumentError
        Another `use`.
    TypeError
        What is no path.

    Examples
    --------
    >>> import atlasinit as ai
    >>> report = ai.check_file("absent.nii.gz")
    >>> print(report)
    absent.nii.gz: not read
      found
        error: no such file.
    """
    return _check(path, use=use, labels=labels, space=space).report


def check_files(
    paths: Sequence[PathLike],
    *,
    use: str | None = None,
    labels: object = None,
    space: str | None = None,
) -> FilesReport:
    """Return what several files are, and whether they fit together.

    Each is checked as by `check_file`; then pairs of them are laid on each other by what
    `atlasinit.load_atlas` and `atlasinit.project` compare:

    - data with an atlas, or with other data: one space, and the same grid or mesh;
    - two atlases: the same; of an atlas and a mask also how much of the parcels lies in it;
    - a label table with the labels of an image: each has an entry;
    - a surface, or a list of vertices, with an atlas, data or a surface: one hemisphere, and as
      many vertices; two surfaces have the same triangles;
    - a transform with an atlas or data: it moves images out of the space that these are in;
    - connectomes, series and values of parcels, with each other and an atlas: the same names.

    Parameters
    ----------
    paths
        The files.
    use, labels, space
        As of `check_file`, for each of them.

    Returns
    -------
    FilesReport
        With the status of the worst.

    Raises
    ------
    ArgumentError
        No file, or another `use`.
    """
    if isinstance(paths, str | os.PathLike):
        raise ArgumentTypeError("paths", "should be a list of paths", "for one call `check_file`")
    if not paths:
        raise ArgumentError("paths", "should be at least one file")
    files = [_check(path, use=use, labels=labels, space=space) for path in paths]
    return FilesReport(tuple(file.report for file in files), compare_files(files))


def _check(path: PathLike, *, use: str | None, labels: object, space: str | None) -> Checked:
    if not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError("path", f"should be a path, got {type(path).__name__}")
    if use is not None and use not in USES:
        raise ArgumentError("use", f"should be 'atlas' or 'data', got {use!r}", nearest(use, USES))
    options = ReadOptions(labels=labels, space=space)
    found = expand(path)
    notes = Notes(str(found))
    shown = os.fspath(path)
    if outputs.is_output(found):
        with notes.listen():
            sections = outputs.check_output(found, notes)
        return Checked(FileReport(shown, "output", "a folder", {}, *sections, notes.sorted()))
    if os.path.isdir(found):
        return _check_atlas(found, shown, notes, options, form=None, facts=None)
    try:
        with Input(found) as source:
            for other in OTHERS:
                if not (use and other.has_numbers) and other.claims(source):
                    with notes.listen():
                        sections = other.check(found, notes)
                    if sections is not None:
                        report = FileReport(shown, other.kind, "", {}, *sections, notes.sorted())
                        return Checked(report)
            return _check_values(source, shown, notes, options, use)
    except (Explained, ValueError, OSError) as error:
        notes.add_error(error)
        return Checked(FileReport(shown, findings=notes.sorted()))


def _check_values(
    source: Input, shown: str, notes: Notes, options: ReadOptions, use: str | None
) -> Checked:
    assert source.path is not None
    form = find_format(source) or format_of(source)
    facts = None if form.describe is None else form.describe(source)
    if facts is not None:
        note_header(facts, source.path, notes)
        if "parcels" in facts.intent:
            with notes.listen():
                kind, stated, read = check_parcellated(source.path, facts, notes)
                source.check_rest()
            stored = describe_storage(facts)
            return Checked(
                FileReport(shown, kind, form.title, stored, stated, read, notes.sorted())
            )
    # What it holds as data is opened by its header alone.
    values, opening = None, Notes(notes.path)
    if form.values is not None:
        try:
            with opening.listen():
                values = read_values(source)
        except (Explained, ValueError) as error:
            if use == "data" or form.read is None:
                raise
            del error
    chosen, by_numbers = (use, False) if use else guess_use(form, values, source, facts)
    if chosen == "atlas":
        # That reads it once more, and tells of its own warnings.
        return _check_atlas(source.path, shown, notes, options, form=form, facts=facts)
    if by_numbers:
        told = "taken for data by its numbers; if it is an atlas, pass " + Passing(use="atlas")
        notes.add("note", "values", told)
    if values is None:
        raise AtlasFileError(source, f"is {form.title}, which holds no data")
    for finding in opening.sorted():
        notes.add(finding.level, finding.about, finding.words)
    with notes.listen():
        read = note_values(values, notes)
        stated = state_values(values, source.path, notes)
        source.check_rest()
    stated["sha256"] = source.digest
    stored = {} if facts is None else describe_storage(facts)
    places = {block.compartment: block.geometry for block in values.blocks}
    report = FileReport(shown, "data", form.title, stored, stated, read, notes.sorted())
    return Checked(report, places=places)


def _check_atlas(
    path: Path,
    shown: str,
    notes: Notes,
    options: ReadOptions,
    *,
    form: Format | None,
    facts: Facts | None,
) -> Checked:
    found = read_leniently(path, options, notes)
    title = "a folder" if form is None else form.title
    stored = {} if facts is None else describe_storage(facts)
    if found is None:
        return Checked(FileReport(shown, "", title, stored, findings=notes.sorted()))
    note_atlas(found, facts, notes)
    read: dict[str, Any] = describe_atlas(found.atlas)
    stated = state_atlas(found)
    report = FileReport(shown, "atlas", title, stored, stated, read, notes.sorted())
    return Checked(report, found.atlas)
