"""One page a public name: which they are, a check that none is missing, and links to them."""

import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

MODULES = (
    "atlasinit",
    "atlasinit.activities",
    "atlasinit.domains",
    "atlasinit.extraction",
    "atlasinit.figures",
    "atlasinit.flax",
    "atlasinit.initializers",
    "atlasinit.inspection",
    "atlasinit.io",
    "atlasinit.measures",
    "atlasinit.nullmodels",
    "atlasinit.penalties",
    "atlasinit.refinement",
    "atlasinit.projection",
    "atlasinit.resampling",
    "atlasinit.sampling",
    "atlasinit.smoothing",
)
"""Whose names are public; of an object with several names the first is its page's."""

_FURTHER = ("atlasinit.catalogue.cache_folder", "atlasinit.catalogue.package_file")
"""Public names in modules that serve the package itself for the rest."""

_MADE_BY_FUNCTIONS = (
    "AtlasLinear",
    "LinenAtlas",
    "NullMaps",
    "NullTest",
    "ResamplingOperator",
    "SamplingOperator",
    "SmoothingOperator",
    "Spins",
)
"""Classes that users do not construct, so that the signature would only confuse."""

_CODE = re.compile(r"(?:ai|atlasinit|activities|domains|initializers)(?:\.[A-Za-z]\w*)+")

logger = logging.getLogger(__name__)


@functools.cache
def preferred_names() -> dict[str, str]:
    """Return every full name under which users import something, and the one that has its page."""
    objects: dict[str, Any] = {}
    preferred = {}
    for place in MODULES:
        for name, value in _exported(place):
            full = f"{place}.{name}"
            elsewhere = (other for other, same in objects.items() if same is value)
            found = next((other for other in elsewhere if other.rpartition(".")[0] != place), full)
            preferred[full] = found
            objects.setdefault(found, value)
    return preferred | {name: name for name in _FURTHER}


def _exported(place: str) -> Iterator[tuple[str, Any]]:
    """Yield what a module offers: packages all that they import, modules what they define."""
    module = importlib.import_module(place)
    for name in dir(module):
        value = getattr(module, name)
        own = hasattr(module, "__path__") or getattr(value, "__module__", None) == place
        if own and name[0] != "_" and name != "TYPE_CHECKING" and not inspect.ismodule(value):
            yield name, value


def public_names() -> dict[str, None]:
    """Return the names that have to have a page, in order."""
    return dict.fromkeys(preferred_names().values())


def page_of(name: str) -> str:
    """Return the name of a public name's page, different also where case does not count."""
    lowered = [other.lower() for other in public_names()]
    clash = lowered.count(name.lower()) > 1 and name.rpartition(".")[2][:1].isupper()
    return f"{name}-class" if clash else name


def missing_pages(environment: BuildEnvironment) -> list[str]:
    """Return the public names that have no page of their own with an entry for them."""
    objects = environment.domains.python_domain.objects
    return [
        name
        for name in public_names()
        if name not in objects or objects[name].docname.rpartition("/")[2] != page_of(name)
    ]


def _check(app: Sphinx, environment: BuildEnvironment) -> None:
    del app
    for name in missing_pages(environment):
        logger.warning("the public name %s has no page of its own; list it in reference/", name)


def _resolve(app: Sphinx, environment: BuildEnvironment, node: Any, shown: Any) -> Any:
    """Find a name of the package itself from the pages of its modules."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or f"atlasinit.{target}" not in public_names():
        return None
    return environment.domains.python_domain.resolve_xref(
        environment, node["refdoc"], app.builder, "obj", f"atlasinit.{target}", node, shown
    )


def _signature(app: Any, what: str, name: str, *rest: Any) -> tuple[str, str] | None:
    """Hide the fields of classes that functions make, and shorten the names of JAX's types."""
    del app
    arguments, returned = rest[-2:]
    if arguments is None:
        return None
    if what == "class" and name.rpartition(".")[2] in _MADE_BY_FUNCTIONS:
        return "", ""
    return _short(arguments), _short(returned or "")


def _short(text: str) -> str:
    text = re.sub(r"~?jaxlib\._jax\.Array", "Array", text)
    text = re.sub(r"~?numpy\.ndarray", "ndarray", text)
    return re.sub(r"Key\[Array, ''\] \| UInt32\[Array, '2'\] \| UInt32\[Array, '4'\]", "Key", text)


def _skip(app: Any, what: str, name: str, *rest: Any) -> bool | None:
    """Leave out the methods that scikit-learn generates for the routing of metadata."""
    del app, what, rest
    return True if re.fullmatch(r"set_\w+_request", name) else None


def _alias(app: Any, what: str, name: str, *rest: Any) -> None:
    """Give an alias of a type the text under its definition, which it has in another module."""
    del app
    lines = rest[-1]
    if what == "data" and (text := _texts_of_aliases().get(name.rpartition(".")[2])):
        lines[:] = text


@functools.cache
def _texts_of_aliases() -> dict[str, list[str]]:
    package = importlib.import_module("atlasinit")
    found = {}
    for module in pkgutil.walk_packages(package.__path__, "atlasinit."):
        if not module.name.endswith("__main__"):
            texts = ModuleAnalyzer.for_module(module.name).find_attr_docs()
            found |= {name: text for (owner, name), text in texts.items() if not owner}
    return found


class _LinkNames(SphinxTransform):
    """Make code such as ``ai.smooth(atlas)`` in the text of a page a link to the name's page."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        for literal in list(self.document.findall(nodes.literal)):
            match = _CODE.match(literal.astext())
            if match is None or isinstance(literal.parent, nodes.reference | addnodes.pending_xref):
                continue
            name = re.sub(r"^ai\b", "atlasinit", match[0])
            target = name if name.startswith("atlasinit.") else f"atlasinit.{name}"
            target = preferred_names().get(target, target)
            link = addnodes.pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refwarn=True
            )
            link["refdoc"] = self.env.docname
            literal.replace_self(link)
            link += literal


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("env-check-consistency", _check)
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _alias, priority=100)
    app.connect("autodoc-skip-member", _skip)
    app.add_transform(_LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
