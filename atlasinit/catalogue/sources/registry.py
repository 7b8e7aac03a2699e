"""The sources, from which all that is said of them derives."""

from atlasinit.catalogue.sources import nilearn, package, templateflow, url
from atlasinit.catalogue.sources.base import Source
from atlasinit.errors import ArgumentError

SOURCES: dict[str, Source] = {
    source.via: source
    for source in (package.SOURCE, templateflow.SOURCE, nilearn.SOURCE, url.SOURCE)
}
"""Name to source."""


def source_of(reference: str) -> Source:
    """Return the source of the file of a reference.

    Raises
    ------
    ValueError
        A scheme of no source.
    """
    scheme = reference.partition(":")[0]
    for source in SOURCES.values():
        if scheme in source.schemes:
            return source
    raise ArgumentError(
        "source", f": {reference!r} is a reference of no source; there are {', '.join(SOURCES)}"
    )
