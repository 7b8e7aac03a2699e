"""The images of a condition with the scale that they have as an atlas."""

import dataclasses

import numpy as np
from jaxtyping import Real

from atlasinit.io.contents import Kind
from atlasinit.io.numbers import describe_numbers, look_like_weights
from atlasinit.io.weights import LARGEST, scale_of


@dataclasses.dataclass(frozen=True, eq=False)
class Amounts:
    """The values of one image, and what they count in.

    Parameters
    ----------
    values
        As they are stored.
    factor
        By which they become what the condition sees: weights of 0 to 1.
    is_unclear
        Whether they may be labels as well as percent, and nothing says which.
    """

    values: Real[np.ndarray, "..."]
    factor: float = 1.0
    is_unclear: bool = False


def amounts_of(values: Real[np.ndarray, "..."], *, kind: Kind, path: object) -> Amounts:
    """Return the values of an image for a condition.

    Weights have the scale that `load_atlas` gives them (`scale_of`), so that "gm > 0.5" means
    the same of fractions, percent and parts of 255 of any type. Labels, masks of 0 and one
    other value, and whole numbers beyond 255 stay as they are.

    Parameters
    ----------
    values
        Of the image.
    kind
        What its header or name says that it holds, ``"auto"`` where they say nothing.
    path
        What messages call it.
    """
    if values.dtype == bool or kind == "hard":
        return Amounts(values)
    # In the order of the file, in which neighbours tell labels from weights.
    numbers = describe_numbers(values.reshape(-1, order="F"))
    if numbers.whole and (numbers.only is not None or numbers.high > LARGEST):
        return Amounts(values)
    if numbers.whole and kind == "auto" and not look_like_weights([numbers]):
        # Percent are never negative.
        return Amounts(values, is_unclear=numbers.low >= 0)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return Amounts(values, scale_of([finite.reshape(-1)], path))
