"""A file that a user names is opened in one place, which refuses what is no regular file."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

# By room and expression; whoever opens anything else reads it through `edge_ood.files.regular`.
ALLOWED = {
    ("files", "open(path, 'rb', opener=_never_waiting)"): "the place itself",
    ("files", "os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)"): "the place itself",
    ("files", "os.open(folder, os.O_RDONLY)"): "a folder that a file was written to",
    ("files", "temporary.open('rb')"): "written a moment ago",
    (
        "files",
        "os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _ANY_NEW_FILE)",
    ): "made here, under a new name",
    ("files", "Path('/proc/sys/kernel/random/boot_id').read_text('ascii')"): "the kernel's own",
    (
        "files",
        "Path(f'/proc/{process}/stat').read_text('ascii', 'replace')",
    ): "the kernel's own",
    ("training", "os.open(path, os.O_RDONLY)"): "a folder, to lock it",
    ("cli", "io.FileIO(os.devnull, 'r+')"): "in place of a closed stream",
    ("tables", "FileIO(self.path, 'r+')"): "written by a run that goes on, in a folder of its own",
    ("tables", "(self.folder / _RECORD).open('r+b')"): "as the last, to lock it",
    ("tables", "output.open(self.record, resume=False, keep=False)"): "a table, no file",
    ("cli", "target.open(record, resume=resume)"): "a table, no file",
    (
        "cli",
        "self._path.with_name(f'{self._path.name}.drift.jsonl').open('a', encoding='utf-8')",
    ): "written beside the table, in which it is named",
    ("cli", "self._path.open('a')"): "the table that is written, to lock it",
    ("runtime", "target.open('xb')"): "made here, under a new name",
    ("runtime", "pyav().open(device or source, timeout=_OPEN_S, **options)"): "a camera or stream",
    ("runtime", "pyav().open(file)"): "a file that is open",
    ("sources", "av.open(file)"): "a file that is open",
    ("runtime", "self._tables.output(index).open(record, resume=False)"): "a table, no file",
    ("tables", "super().open(record, resume=resume, keep=keep)"): "a table, no file",
    ("sources", "made.open('rb')"): "a table that was made here",
    ("sources", "copy.open('wb')"): "made here",
    ("cli", "os.open(os.devnull, os.O_WRONLY)"): "to write",
    (
        "cli",
        "(output / 'scores.csv').open(newline='', encoding='utf-8')",
    ): "written a moment ago, by the demo",
    ("cli", "Image.open(path)"): "made here, by the demo",
    ("images", "Image.open(found[0])"): "a file of scikit-image",
    ("training", "path.open('w+b')"): "made here, for pixels",
    ("training", "path.open('r+b')"): "an entry of the cache, as it is made",
    ("training", "(made / _INDEX).open('w', encoding='utf-8')"): "as the last",
    (
        "training",
        "os.open(self.folder.with_name(f'{self.folder.name}.lock'), flags, 438)",
    ): "to lock an entry of the cache",
    ("training", "np.memmap(file, np.uint8, 'c', offset, self.shape)"): "a file that is open",
    ("training", "Image.open(file, formats=DECODED_FORMATS)"): "a file that is open",
    ("training", "_CPU_INFO.read_text('utf-8', 'replace')"): "the kernel's own",
    ("images", "Image.open(file, formats=DECODED_FORMATS)"): "bytes in memory",
    ("corruptions", "Image.open(file, formats=['JPEG'])"): "bytes in memory",
    ("graph", "onnx.load(path, format='protobuf', load_external_data=False)"): "looked at before",
    (
        "graph",
        "load_external_data_for_tensor(tensor, str(target.parent))",
    ): "looked at before",
    ("graph", "onnx.load(result)"): "written a moment ago",
    ("attachment", "onnx.load(unfinished.path)"): "written a moment ago",
    ("parity", "onnx.load(reference)"): "written a moment ago",
    ("parity", "onnx.load(path)"): "written a moment ago",
    ("artifact", "_CPUINFO.open(errors='replace')"): "the kernel's own",
    ("artifact", "path.read_text(errors='replace')"): "the kernel's own",
    (
        "sources",
        "tarfile.open(fileobj=self._file, mode='r|*', tarinfo=_Member)",
    ): "a file that is open",
    ("sources", "tarfile.open(fileobj=file, mode='r|', tarinfo=_Member)"): "a file that is open",
    ("web", "page.joinpath(name).read_bytes()"): "our own",
    (
        "web",
        "resources.files('edge_ood.web').joinpath('package.json').read_text('utf-8')",
    ): "our own",
    ("web", "page.joinpath('index.html').read_text('utf-8')"): "our own",
    ("images", "_GROUPS.read_text('ascii')"): "the kernel's own",
    ("images", "Path('/proc/self/statm').read_text('ascii')"): "the kernel's own",
    ("images", "path.read_text('ascii')"): "the kernel's own",
    ("images", "Path('/proc/meminfo').read_text('ascii')"): "the kernel's own",
}
OPENING = {
    *("open", "fdopen", "FileIO", "read_bytes", "read_text", "mmap", "memmap", "fromfile"),
    *("load_file", "safe_open", "load_external_data_for_tensor"),
}
LOADING = ("np.load", "numpy.load", "onnx.load")


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every module as a tree, with the room that it lies in."""
    for package in ("edge_ood", "edge_ood.calibration", "edge_ood.cli"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        root = Path(spec.submodule_search_locations[0])
        for path in root.rglob("*.py"):
            room = (*package.split(".")[1:], *path.relative_to(root).with_suffix("").parts)[0]
            yield room, ast.parse(path.read_text("utf-8"))


def opening_calls(tree: ast.AST) -> set[str]:
    """Expressions that open a file by its path, as far as their names tell."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {node: ast.unparse(node.func) for node in calls}
    return {
        ast.unparse(node)
        for node in calls
        if names[node].rpartition(".")[2] in OPENING or names[node] in LOADING
    } - {"np.memmap(file, np.uint8, 'r+', shape=shape)"}  # a file that is open


def test_users_files_are_opened_in_one_place() -> None:
    """Every other opening is listed above, with the reason why it is no file of a user."""
    found = {(room, call) for room, tree in sources() for call in opening_calls(tree)}

    assert set() == found - set(ALLOWED)
