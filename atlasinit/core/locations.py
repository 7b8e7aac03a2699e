"""What grids and meshes share: they are immutable, and equal by content."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from atlasinit.errors import ArgumentError
from atlasinit.support.arrays import as_read_only

Hemisphere: TypeAlias = Literal["L", "R", ""]


class ByContent:
    """Equality and hash from the bytes of the fields."""

    @functools.cached_property
    def digest(self) -> str:
        """Hexadecimal digest of the content."""
        return _digest(getattr(self, f.name) for f in dataclasses.fields(self))  # pyright: ignore

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        # The digest of arrays of some MB takes its time, though only once.
        return self is other or self.digest == other.digest  # pyright: ignore

    def __hash__(self) -> int:
        return hash(self.digest)

    def __getstate__(self) -> dict[str, Any]:
        # Without what is cached, so that equal geometries have equal pickles.
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # pyright: ignore

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Arrays come writeable out of a pickle.
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        set_fields(self, **state)


def set_fields(instance: object, **fields: Any) -> None:
    """Set fields of a frozen instance while it is made."""
    for name, value in fields.items():
        object.__setattr__(instance, name, value)


def check_kept(index: ArrayLike | None, size: int, name: str, where: str) -> np.ndarray:
    """Return the kept voxels or vertices as int32, checked to be in range and distinct."""
    if size > 2**31:
        raise ArgumentError(name, f"cannot be numbered on {where}, of more than 2**31", "crop it")
    if index is None:
        every = np.arange(size, dtype=np.int32)
        every.flags.writeable = False
        return every
    kept = check_whole(index, name).reshape(-1)
    if kept.size and (kept.min() < 0 or kept.max() >= size):
        raise ArgumentError(
            name, f"should lie in [0, {size}) on {where}, got {kept.min()} to {kept.max()}"
        )
    kept = as_read_only(kept, np.int32)
    # Rising indices, as most are, differ: only others are counted.
    if kept.size and (kept[1:] <= kept[:-1]).any() and np.bincount(kept).max() > 1:
        raise ArgumentError(name, "should hold each location once", "some are repeated")
    return kept


def check_whole(numbers: ArrayLike, name: str) -> np.ndarray:
    """Return an array of whole numbers as it is; none becomes int32."""
    # An empty list becomes an array of float64, which holds no fraction either.
    given = np.asarray(numbers)
    if given.size and given.dtype.kind not in "iu":
        raise ArgumentError(name, f"should be whole numbers, got {given.dtype}")
    return given if given.size else given.astype(np.int32)


def check_locations(values: np.ndarray, n_locations: int) -> None:
    """Raise where values are not one per location."""
    if values.shape[0] != n_locations:
        raise ArgumentError(
            "values", f"should start with {n_locations} locations, got shape {values.shape}"
        )


def _digest(parts: Iterable[Any]) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        hasher.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        # So that what one field ends with is not taken for the beginning of the next.
        hasher.update(b"|")
    return hasher.hexdigest()
