"""Who may import whom, and what stays out of memory when an image is scored."""

import ast
import graphlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# A room imports from rooms in rows above its own, never from its own row or from rows below.
LAYERS = (
    ("errors", "threads"),
    ("files",),
    ("metrics", "registry"),
    ("calibration", "images", "onnx_session"),
    ("artifact", "corruptions", "scores", "sources"),
    ("graph", "models", "objectives", "tables"),
    ("weights",),
    ("runtime", "training"),
    ("parity", "recipes", "synthetic"),
    ("attachment", "evaluation"),
    ("foreign", "torch_export"),
    ("report", "web"),
    ("api",),
    ("cli",),
    ("__main__",),
)
MOST_TOP_MODULES = 5
ROW = {name: row for row, names in enumerate(LAYERS) for name in names}
TORCH_PARTS = (
    "models",
    "objectives",
    "parity.torch_reference",
    "torch_export",
    "training.augmentation",
    "training.averaging",
    "training.batch_statistics",
    "training.batches",
    "training.checkpoint",
    "training.compilation",
    "training.configuration",
    "training.devices",
    "training.evaluation",
    "training.first_weights",
    "training.left_on_disk",
    "training.loggers.tensorboard",
    "training.optimisation",
    "training.rows",
    "training.step_outliers",
    "training.synchronized",
    "training.run_weights",
    "training.session",
    "training.targets",
    "training.freezing",
    "training.train",
    "training.virtual_outliers",
    "weights",
)
TORCH_LIBRARIES = ("torch", "torchvision", "lightning_fabric", "onnxscript", "safetensors.torch")


def package_folder(package: str) -> Path:
    """Where an installed package lies, found without running it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


def source_files() -> dict[str, Path]:
    """Every module of the package by dotted name, wherever its folder lies."""
    found = {}
    for package in ("edge_ood", "edge_ood.calibration", "edge_ood.cli"):
        root = package_folder(package)
        for path in root.rglob("*.py"):
            parts = (package, *path.relative_to(root).with_suffix("").parts)
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


FILES = source_files()
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in sorted(FILES.items())}
MODULES = [name for name in TREES if name != "edge_ood"]


def import_statements(
    tree: ast.AST, *, late: bool, typing: bool = True
) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports of a file; without `late`, only those that importing it runs.

    Without `typing`, those for type checkers alone are left out.
    """
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif is_type_checking(node):
            pending.extend(ast.iter_child_nodes(node) if late and typing else ())
        elif late or not isinstance(node, ast.FunctionDef):
            pending.extend(ast.iter_child_nodes(node))


def is_type_checking(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imported_names(module: str, *, late: bool = True, typing: bool = True) -> Iterator[str]:
    """Absolute dotted names that a module imports."""
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in import_statements(TREES[module], late=late, typing=typing):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        base = f"{package}.{node.module or ''}".rstrip(".") if node.level else str(node.module)
        for alias in node.names:
            submodule = f"{base}.{alias.name}"
            yield submodule if submodule in FILES else base


def part_of(module: str) -> str:
    """The room of `edge_ood.graph.array` is `graph`."""
    return module.split(".")[1]


def imports_torch(module: str) -> bool:
    """Whether the table lets this module import torch."""
    return f"{module}.".startswith(tuple(f"edge_ood.{part}." for part in TORCH_PARTS))


def row_of(module: str) -> int:
    """Position in the table, from what needs nothing to what needs all."""
    return ROW[part_of(module)]


def modules_after(code: str) -> set[str]:
    """Packages outside the standard library that a fresh interpreter has loaded."""
    report = "\nimport sys, json; print('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-Ic", code + report], capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    roots = {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    return {root for root in roots - sys.stdlib_module_names if not root.startswith("__")}


def command_line(*arguments: str) -> str:
    """Code that runs `edge-ood` with these arguments in its own interpreter and goes on."""
    return (
        f"import sys; sys.argv = {['edge-ood', *arguments]!r}\n"
        "from edge_ood.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code"
    )


def test_every_module_has_a_row() -> None:
    """A new room of the library is given its place in the import order."""
    assert set() == {name for name in MODULES if part_of(name) not in ROW}


def test_imports_never_point_down_the_table() -> None:
    """No module imports a room that is built beside or on top of its own, or all of them."""
    downward = {
        (module, name)
        for module in MODULES
        for name in imported_names(module)
        if name == "edge_ood"
        or (name in MODULES and part_of(name) != part_of(module) and row_of(name) >= row_of(module))
    }

    assert set() == downward


def test_the_top_level_holds_rooms() -> None:
    """Beside its packages `edge_ood` has at most five modules, so that it is seen at a glance.

    Python itself wants another there, for `python -m edge_ood`.
    """
    modules = {path.name for path in package_folder("edge_ood").glob("*.py")}

    assert len(modules - {"__main__.py"}) <= MOST_TOP_MODULES


def test_imports_have_no_cycle() -> None:
    """The modules can be put in one order in which each imports only earlier ones.

    What a result is printed by may name the result's type, which imports nothing when it runs.
    """
    # `demo` runs the other commands through the application that wires it, and imports it late.
    names = {
        n: imported_names(n, late=not n.startswith("edge_ood.cli"), typing=False) for n in TREES
    }
    graph = {name: set(imports) & set(FILES) - {name} for name, imports in names.items()}

    assert set(FILES) == set(graphlib.TopologicalSorter(graph).static_order())


def test_only_training_and_export_import_torch() -> None:
    """Torch is named where a network is trained or exported, and by the gate's reference."""
    prefixes = tuple(f"{library}." for library in TORCH_LIBRARIES)
    outside = {
        (module, name)
        for module in MODULES
        if not imports_torch(module)
        for name in imported_names(module)
        if f"{name}.".startswith(prefixes)
    }

    assert set() == outside


def test_no_handler_swallows_a_bug() -> None:
    """Handlers name what they expect; one that cleans up after anything raises it again."""
    for module, tree in TREES.items():
        for handler in (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)):
            caught = ast.unparse(handler.type) if handler.type else "everything"
            raises_again = ast.unparse(handler.body[-1]) == "raise"
            assert caught not in ("everything", "Exception"), (module, handler.lineno)
            assert caught != "BaseException" or raises_again, (module, handler.lineno)


def test_no_import_climbs_to_a_parent_package() -> None:
    """Relative imports stay among siblings, so a mapped folder resolves in place."""
    climbing = {
        module
        for module, tree in TREES.items()
        for node in import_statements(tree, late=True)
        if isinstance(node, ast.ImportFrom) and node.level > 1
    }

    assert set() == climbing


@pytest.mark.parametrize("command", [(), ("evaluate",)])
def test_help_loads_no_framework(command: tuple[str, ...]) -> None:
    """`--help` answers without torch, onnx, onnxruntime or scikit-learn; NumPy, too, waits."""
    loaded = modules_after(command_line(*command, "--help"))

    heavy = {"torch", "torchvision", "onnx", "onnxruntime", "sklearn", "numpy", "PIL"}
    assert loaded.isdisjoint(heavy)


def test_defaults_can_be_had_without_numpy() -> None:
    """Names of heads and the default ones are what a help text needs."""
    code = "from edge_ood.scores import DEFAULT_HEADS, DEFAULT_PRIMARY, HEADS; HEADS.names()"

    assert modules_after(code).isdisjoint({"numpy", "torch", "onnx"})


def test_scoring_an_image_loads_four_libraries(artifact_path: Path, image_folder: Path) -> None:
    """`edge-ood score` on one image adds nothing to numpy, pillow, onnxruntime and typer."""
    libraries = modules_after("import numpy.random, PIL.ImageOps, onnxruntime, typer")
    image = min(path for path in image_folder.rglob("*") if path.is_file())

    loaded = modules_after(command_line("score", str(artifact_path), str(image)))

    assert {"edge_ood"} == loaded - libraries


def test_a_gallery_loads_one_library_more(
    artifact_path: Path, image_folder: Path, tmp_path: Path
) -> None:
    """Jinja2, with what it needs; its page has no figures, and so needs no matplotlib."""
    libraries = modules_after("import numpy.random, PIL.ImageOps, onnxruntime, typer, jinja2")
    image = min(path for path in image_folder.rglob("*") if path.is_file())
    arguments = ("score", str(artifact_path), str(image), "--gallery", str(tmp_path / "g.html"))

    assert {"edge_ood"} == modules_after(command_line(*arguments)) - libraries


def test_importing_the_command_line_leaves_no_generic_name() -> None:
    """`cli` and `calibration` are reachable only inside `edge_ood`."""
    loaded = modules_after("import edge_ood.cli, edge_ood.calibration")

    assert loaded.isdisjoint({"cli", "calibration"})
