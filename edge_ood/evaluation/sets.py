"""The OOD sets of an evaluation: folders of images, and synthetic images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_ood.errors import InputError, UnknownNameError
from edge_ood.evaluation.synthetic_images import SyntheticImages, bind_sampled, make_images
from edge_ood.files.paths import is_folder, shortest_name
from edge_ood.files.text import valid_text
from edge_ood.images.folders import ImageSet, read_images
from edge_ood.registry import Spec, parse_spec
from edge_ood.runtime.scorer import Scorer
from edge_ood.synthetic import KINDS

__all__ = ["OodSet", "SyntheticImages", "parse_sets", "split_name"]

_FORMS = "DIR, NAME=DIR, KIND or NAME=KIND"


@dataclass(frozen=True)
class OodSet:
    """One OOD set, before its images are read or made.

    Attributes:
        name: What tells it from the other sets.
        group: `near`, `far`, or empty.
        kind: `files`, `synthetic` or `adversarial`.
        source: A folder, or the name of a kind of synthetic images with what was given for it.
        parameters: Of synthetic images, all of them.
    """

    name: str
    group: str
    kind: str
    source: Path | Spec
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def images(self, scorer: Scorer, id_images: ImageSet) -> ImageSet | SyntheticImages:
        """The images: files as they are, or images made at the size of an artefact's input.

        Args:
            scorer: The artefact.
            id_images: The ID images. Some kinds are made from them; they set how many there are.

        Raises:
            ArtifactError, ExportError: If adversarial images cannot be made for this artefact.
            DataError: If the folder is missing or holds no image.
            InputError: If there are too few ID images.
        """
        if isinstance(self.source, Path):
            return read_images(self.source)
        return make_images(KINDS.get(self.source.name), self.parameters, scorer, id_images)


def parse_sets(
    ood: Sequence[str], near: Sequence[str] = (), far: Sequence[str] = ()
) -> tuple[OodSet, ...]:
    """OOD sets from `DIR`, `NAME=DIR`, `KIND`, `KIND:parameters` or `NAME=KIND:parameters`.

    A word that names a kind of synthetic images is that kind, never the folder of that name, which
    is `./word`. What is a folder as it stands is never split at `=`. A kind's set goes by the
    kind's name; a folder's by its own, with as many parents before it as it takes to tell it from
    others.

    Args:
        ood: Sets of no group, but for the kinds that have one: noise is `far`.
        near: Sets of the group `near`.
        far: Sets of the group `far`.

    Returns:
        The sets of `ood`, `near` and `far`, each in the order given.

    Raises:
        InputError: If a name or folder is missing, a name or plain folder is given twice, or a
            parameter is unknown or out of range.
        UnknownNameError: If a word is neither a kind nor a folder; the hint has the closest kind.
    """
    given = [("", text) for text in ood] + [("near", text) for text in near]
    given += [("far", text) for text in far]
    split = [(group, *_split(text)) for group, text in given]
    named = [name for _, name, _ in split if name]
    plain = [s.resolve().parts for _, name, s in split if isinstance(s, Path) and not name]
    sets: dict[str, OodSet] = {}
    for group, name, source in split:
        if isinstance(source, Spec):
            found = _of_kind(name, group, source)
        else:
            chosen = name or shortest_name(source.resolve().parts, plain, named)
            found = OodSet(valid_text(chosen), group, "files", source)
        if not found.name or found.name in sets:
            raise InputError(
                f"{str(found.name or source)!r} is given twice",
                hint="give each OOD set once, or name them with NAME=DIR or NAME=KIND",
            )
        sets[found.name] = found
    return tuple(sets.values())


def _of_kind(name: str, group: str, spec: Spec) -> OodSet:
    synthetic = KINDS.get(spec.name)
    parameters = bind_sampled(synthetic.make, spec.parameters, owner=synthetic.name)
    return OodSet(
        name or synthetic.name, group or synthetic.group, synthetic.kind, spec, parameters
    )


def split_name(text: str, is_source: Callable[[str], bool], forms: str) -> tuple[str, str]:
    """The name that was given to a set, else nothing, and what it was given to.

    Args:
        text: `SOURCE` or `NAME=SOURCE`.
        is_source: Whether a text is a source as it stands, which is never split at `=`.
        forms: What may be written, for a hint.

    Raises:
        InputError: If one side of `=` is missing.
    """
    name, equals, rest = text.partition("=")
    if is_source(text) or not equals or ":" in name:
        return "", text
    if not name or not rest:
        raise InputError(f"cannot read set {text!r}", hint=f"write {forms}")
    return name, rest


def _split(text: str) -> tuple[str, Path | Spec]:
    """The name that was given, else nothing, and what it was given to."""
    name, source = split_name(text, lambda whole: _source(whole) is not None, _FORMS)
    return name, _source(source) or _missing_source(source)


def _source(text: str) -> Path | Spec | None:
    """A kind by its name, or a folder that is there."""
    word, _, _ = text.partition(":")
    if word.replace("_", "-") in KINDS.names():
        return parse_spec(text)
    return Path(text) if is_folder(Path(text)) else None


def _missing_source(text: str) -> Path:
    """A folder that is not there, which is said when it is read, unless a kind may be meant."""
    word, colon, _ = text.partition(":")
    if word and Path(word).name == word:
        unknown = UnknownNameError(
            "folder or kind of synthetic images",
            word,
            KINDS.names(),
            listing="'edge-ood evaluate --help' lists the kinds",
        )
        if colon or unknown.closest:
            raise unknown
    return Path(text)
