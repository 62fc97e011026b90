"""No module but its own knows a head, an objective or a way of one: what it needs is declared."""

import ast
import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from edge_ood.registry import Registry
from edge_ood.scores import HEADS

pytest.importorskip("torch")
from edge_ood.objectives import OBJECTIVES

REGISTRIES = ("scores", "objectives", "models", "recipes", "synthetic", "corruptions")
NAMING = ("scores", "objectives", "recipes")
"""Rooms whose files are about one head or objective; a recipe is about a way to train."""

ALLOWED = {
    ("training", "cross-entropy"): "default of --objective",
    ("graph", "scale"): "a step behind the logits, and an attribute of ONNX",
    ("report", "energy"): "the page of a run says which head has the numbers that it shows",
}

# A word such as `scale` is a name only where a text speaks of such names.
ABOUT_NAMES = re.compile(r"--[a-z]|\b(score|head|objective)s?\b")


def settings(name: str) -> Iterator[tuple[str, str]]:
    """Parameters of an objective that have a list of values, with each of these."""
    for parameter in inspect.signature(OBJECTIVES.get(name).losses).parameters.values():
        if get_origin(parameter.annotation) is Literal:
            yield from ((parameter.name, str(value)) for value in get_args(parameter.annotation))


REGISTERED = {*HEADS.names(), *OBJECTIVES.names()}
NAMES = {way for name in REGISTERED for way in (name, name.replace("-", "_"))}
SETTINGS = {setting for name in OBJECTIVES.names() for setting in settings(name)}


def files(pattern: str) -> Iterator[tuple[str, Path]]:
    """Files of the package by room, those of the mapped folders too."""
    for package in ("edge_ood", "edge_ood.calibration", "edge_ood.cli"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        (root,) = spec.submodule_search_locations or [""]
        for path in sorted(Path(root).rglob(pattern)):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join((*package.split(".")[1:], *parts)), path


def room(module: str) -> str:
    """The room of `graph.array` is `graph`."""
    return module.partition(".")[0]


TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in files("*.py")}


def texts(tree: ast.Module) -> Iterator[str]:
    """String constants, but for docstrings, which may show an example."""
    notes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in notes:
            yield node.value


def is_named(name: str, text: str) -> bool:
    """Whether a text is a name, or names it among others, as in `add odin to --scores`."""
    as_word = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)
    return name == text or bool(as_word and (ABOUT_NAMES.search(text) or f"{name}:" in text))


def is_set(parameter: str, value: str, text: str) -> bool:
    """Whether a text sets the parameter, or is the value; a single word may be so by chance."""
    return f"{parameter}={value}" in text or ("-" in value and value == text)


def named_by(module: str, text: str) -> set[str]:
    """What a text of a module names; examples in help texts are no knowledge."""
    if room(module) == "cli":
        return {text} & NAMES
    found = {name for name in NAMES if is_named(name, text)}
    found |= {value for parameter, value in SETTINGS if is_set(parameter, value, text)}
    own = module.rpartition(".")[2]  # files of two registries may share a name
    return found - {own, own.replace("_", "-")}


def test_no_text_names_a_head_or_an_objective() -> None:
    """Messages, defaults and pages get names from the registries; the rest has a reason."""
    pages = [(name, path.read_text("utf-8")) for name, path in files("templates/*.html")]
    said = [(m, code) for m, page in pages for code in re.findall("<code>(.*?)</code>", page)]
    said += [(m, text) for m, tree in TREES.items() for text in texts(tree)]

    assert set(ALLOWED) == {
        (room(module), name)
        for module, text in said
        if room(module) not in NAMING
        for name in named_by(module, text)
    }


def test_no_module_imports_a_file_of_a_registry() -> None:
    """The registry loads it, by a name that the user gave."""
    imported = {
        (module, node.module)
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for name in REGISTRIES
        if node.module.startswith(f"edge_ood.{name}.") and room(module) != name
    }
    listed = {
        f"edge_ood.{name}.{file}"
        for name in REGISTRIES
        for file in Registry(f"edge_ood.{name}", kind="", attribute="").names()
    }

    assert set() == {(module, name) for module, name in imported if name in listed}


def test_no_module_reads_a_parameter_by_name() -> None:
    """What parameters of heads and objectives are for is declared, and offered by properties."""
    read = {
        ast.unparse(node)
        for module, tree in TREES.items()
        if room(module) not in REGISTRIES
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript | ast.Call)
    }

    # Every kind of made images has these two, from the module that reads them.
    own = {"parameters['count']", "parameters['seed']"}
    assert own == {code for code in read if re.match(r"(\w+\.)*parameters(\[|\.get\()'", code)}
