"""Conditions on images as text, as ``"gm > 0.5 and wm < 0.2"``."""

import ast
import itertools
import operator
import sys
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Shaped

from atlasinit.errors import ArgumentError, format_list, nearest

# Operations that neither list names are refused, and so are other calls, attributes and indices.
_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

# What each does with the true voxels: filters of the largest and smallest values, in cubes. What
# lies beyond the image counts as false to the one and as true to the other: it changes nothing.
_GROW = (("maximum_filter", False),)
_SHRINK = (("minimum_filter", True),)
_SHAPING = {
    "dilate": _GROW,
    "erode": _SHRINK,
    "open": _SHRINK + _GROW,
    "close": _GROW + _SHRINK,
}

# Far beyond any condition that is written by hand; the parser's stack is limited as well.
_LONGEST = 2000  # characters
_FURTHEST = 100  # voxels

_Value: TypeAlias = np.ndarray | np.generic


def evaluate(
    condition: str,
    values: Mapping[str, Shaped[np.ndarray, "..."]],
    *,
    factors: Mapping[str, float] | None = None,
    unclear: Collection[str] = (),
) -> Bool[np.ndarray, "..."]:
    """Return where a condition holds.

    Parameters
    ----------
    condition
        Numbers, the names of `values`, comparisons, ``and``, ``or``, ``not``,
        ``+ - * /``, brackets, and ``dilate``, ``erode``, ``open``, ``close`` and ``fill`` of a
        comparison; nothing else is ever evaluated. Arithmetic is done in float64, so that
        small integers do not wrap; NaN compares false.
    values
        Arrays of one shape.
    factors
        By which some of them become what the condition sees.
    unclear
        Those that may be labels or percent.

    Raises
    ------
    ValueError
        Anything else in the condition, with its place; or one that is a number; an image
        compared with a number that is beyond its scale, or that none of its whole numbers is.

    Examples
    --------
    >>> import numpy as np
    >>> evaluate("0.2 < gm <= 0.8 and not wm > 0.1", {"gm": np.array([0.1, 0.5, 0.9]),
    ...                                               "wm": np.array([0.0, 0.0, 0.0])})
    array([False,  True, False])
    """
    if len(condition) > _LONGEST:
        raise ArgumentError(
            "mask",
            f": its condition has {len(condition)} characters, where {_LONGEST} are allowed",
            "combine masks into one image first",
        )
    try:
        tree = ast.parse(condition.strip(), mode="eval").body
    # Besides SyntaxError, `ast.parse` raises ValueError for null bytes, and MemoryError or
    # RecursionError for brackets that lie too deep.
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        at = (getattr(error, "offset", None) or 1) - 1
        raise _error(condition.strip(), at, "cannot be read") from error
    # x / 0 is infinite and 0 / 0 is NaN, here without a warning of NumPy's.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        try:
            result = _Evaluation(condition.strip(), values, factors or {}, unclear).of(tree)
        except RecursionError as error:
            raise _error(condition.strip(), 0, "has too many terms") from error
    if result.dtype != bool:
        raise _error(condition.strip(), 0, "is a number, not a comparison")
    # A condition that names no image, as 1 > 0, is one value for all voxels.
    return np.broadcast_to(result, next(iter(values.values())).shape)


class _Evaluation:
    """Values of the nodes of one condition."""

    def __init__(
        self,
        condition: str,
        values: Mapping[str, np.ndarray],
        factors: Mapping[str, float],
        unclear: Collection[str],
    ) -> None:
        self._condition = condition
        self._values = values
        self._factors = factors
        self._unclear = unclear

    def of(self, node: ast.AST) -> _Value:
        match node:
            # True is a whole number to Python, but none in a condition.
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                # Python reads 1e999 as infinite, and has whole numbers of any size.
                if abs(value) > sys.float_info.max:
                    raise self._error(node, "is larger than any number of a computer")
                return np.asarray(value, np.float64)
            case ast.Name(id=name):
                return self._named(name, node)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return np.logical_not(self._truth(operand))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return np.negative(self._number(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](self._number(left), self._number(right))
            case ast.BoolOp(op=op, values=nodes):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return join.reduce(np.broadcast_arrays(*map(self._truth, nodes)))
            case ast.Compare() if all(type(op) in _COMPARISONS for op in node.ops):
                return self._comparison(node)
            case ast.Call(func=ast.Name(id="fill"), args=[inner], keywords=[]):
                return self._fill(inner)
            case ast.Call(func=ast.Name(id=name), args=[inner, *steps], keywords=[]) if (
                name in _SHAPING and len(steps) < 2
            ):
                return self._shape(name, inner, steps)
        raise self._error(
            node,
            "is not allowed: only comparisons, and, or, not, + - * /, and dilate, erode, open, "
            "close and fill are",
        )

    def _shape(self, name: str, inner: ast.expr, steps: list[ast.expr]) -> _Value:
        """Return a comparison dilated and so on by a number of voxels, 1 unless it is given."""
        count = getattr(steps[0], "value", None) if steps else 1
        if type(count) is not int or not 1 <= count <= _FURTHEST:
            raise self._error(
                steps[0], f"should be a number of voxels, a whole number from 1 to {_FURTHEST}"
            )
        from scipy import ndimage

        found = self._image_of_truth(inner)
        for filter_, beyond in _SHAPING[name]:
            shape = getattr(ndimage, filter_)
            found = shape(found, size=2 * count + 1, mode="constant", cval=beyond)
        return found

    def _fill(self, inner: ast.expr) -> _Value:
        """Return a comparison with the holes that nothing leads out of, not even by corners."""
        from scipy import ndimage

        found = self._image_of_truth(inner)
        return np.asarray(ndimage.binary_fill_holes(found, structure=np.ones([3] * found.ndim)))

    def _image_of_truth(self, node: ast.expr) -> np.ndarray:
        # A comparison of numbers alone is one value for all voxels.
        return np.broadcast_to(self._truth(node), next(iter(self._values.values())).shape)

    def _comparison(self, node: ast.Compare) -> _Value:
        nodes = (node.left, *node.comparators)
        sides = [self._number(side) for side in nodes]
        # Of a chain as 0.2 < gm < 0.8 each comparison, both ways, as the number may be on either
        # side.
        for pair in itertools.pairwise(nodes):
            self._check_scale(*pair)
            self._check_scale(*reversed(pair))
        results = [
            _COMPARISONS[type(op)](left, right)
            for op, left, right in zip(node.ops, sides[:-1], sides[1:], strict=True)
        ]
        return np.logical_and.reduce(np.broadcast_arrays(*results))

    def _check_scale(self, image: ast.expr, number: ast.expr) -> None:
        """Refuse to compare an image with a number that is meant for another scale."""
        if not (isinstance(image, ast.Name) and isinstance(number, ast.Constant)):
            return
        name, limit = image.id, float(number.value)  # pyright: ignore[reportArgumentType]
        factor = self._factors.get(name, 1.0)
        # The image was stored as percent or parts of 255, of which the number seems to be one.
        if factor != 1 and limit > 1:
            raise self._error(
                number,
                f"is beyond the scale of 0 to 1 that {name!r} has here ({factor:.4g} times what "
                "is stored)",
                f"Write {factor * limit:.4g}",
            )
        if name in self._unclear and 0 < limit < 1:
            raise self._error(
                number,
                f"is compared with {name!r}, whose whole numbers up to "
                f"{self._values[name].max():g} may be labels or percent",
                f"Compare it with these, as {name} > {100 * limit:.4g}, or give weights a name "
                "that ends in _probseg",
            )

    def _named(self, name: str, node: ast.AST) -> _Value:
        if name not in self._values:
            hint = nearest(name, self._values)
            raise self._error(node, f"is no image; there are {format_list(self._values)}", hint)
        values = self._values[name]
        if values.dtype == bool:
            return values
        amounts = values.astype(np.float64, copy=False)
        factor = self._factors.get(name, 1.0)
        # Divided, 29 percent are the number that is written 0.29.
        return amounts if factor == 1 else amounts / round(1 / factor)

    def _truth(self, node: ast.AST) -> _Value:
        value = self.of(node)
        if value.dtype != bool:
            raise self._error(node, "is a number where a comparison should be")
        return value

    def _number(self, node: ast.AST) -> _Value:
        value = self.of(node)
        if value.dtype == bool:
            raise self._error(node, "is true or false where a number should be")
        return value

    def _error(self, node: Any, problem: str, remedy: str = "") -> ArgumentError:
        text = ast.get_source_segment(self._condition, node)
        return _error(self._condition, node.col_offset, f"{text!r} {problem}", remedy)


def _error(condition: str, at: int, problem: str, remedy: str = "") -> ArgumentError:
    return ArgumentError(
        "mask", f": condition {condition!r}, at character {at + 1}: {problem}", remedy
    )
