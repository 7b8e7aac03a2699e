"""Packages whose names are imported when they are first used."""

import importlib
from collections.abc import Callable, Mapping, Sequence


def export_lazily(
    package: str, homes: Mapping[str, str], modules: Sequence[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return the ``__getattr__``, ``__dir__`` (PEP 562) and ``__all__`` of a package.

    Parameters
    ----------
    package
        Its ``__name__``.
    homes
        Public name to the module of the package that defines it.
    modules
        Modules of the package that are public names themselves.
    """

    def find(name: str) -> object:
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        if name in homes:
            return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    public = sorted({*homes, *modules})
    return find, public.copy, public
