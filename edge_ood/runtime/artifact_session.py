"""An artefact in onnxruntime: opened, held to the contract, and run on arrays. Torch-free."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.contract import INPUT_NAME, contract_outputs
from edge_ood.artifact.model_file import ModelFile
from edge_ood.artifact.outputs import Scores, check_labels
from edge_ood.artifact.reader import read_metadata
from edge_ood.errors import ArtifactError, InputError, UnknownNameError
from edge_ood.onnx_session import open_session, provider_name, read_properties, translated_errors

__all__ = ["ArtifactSession"]


class ArtifactSession:
    """A session that gives what the contract says.

    Args:
        path: The artefact.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        threads: Threads of one inference; None lets onnxruntime decide.

    Attributes:
        file: What was opened: session, metadata and narrowing are of the same bytes.
        metadata: What the artefact says about itself.
        heads: Names of the scores that are computed, in the order of their outputs.
        provider: Where it runs, such as `cpu`.

    Raises:
        ArtifactError: If the file is missing, no artefact, too new or damaged.
        InputError: If the provider cannot be had.
        MissingDependencyError: If no onnxruntime is installed.
    """

    def __init__(self, path: Path, *, provider: str, threads: int | None) -> None:
        self.path = path
        self.threads = threads
        self.file, content = ModelFile.read(path)
        self._session: Any = open_session(
            content, provider=provider, threads=threads, source=str(path)
        )
        self.metadata = read_metadata(read_properties(self._session, str(path)), source=str(path))
        self.heads = self.metadata.head_names
        self.provider = provider_name(self._session)
        self._outputs = contract_outputs(self.heads)
        self._check_contract()

    def run(self, images: NDArray[np.uint8]) -> Scores:
        """The result of one inference on uint8 (N, H, W, 3).

        Raises:
            ArtifactError: If the graph cannot run, or not on every image.
        """
        with translated_errors(f"'{self.path}' cannot run"):
            results = self._session.run(list(self._outputs), {INPUT_NAME: images})
        if {len(result) for result in results} != {len(images)}:
            lengths = [len(result) for result in results]
            raise ArtifactError(
                f"'{self.path}' gave {lengths} results for {len(images)} images",
                hint="export it again",
            )
        check_labels(results[0], self.metadata.classes, self.path)
        return Scores.of_outputs(self.metadata.classes, self.heads, results)

    def narrow(self, heads: Sequence[str]) -> None:
        """Compute only these heads from now on: onnxruntime runs the whole of any graph.

        Raises:
            InputError: If the deciding head is left out.
            UnknownNameError: If the artefact has no such head.
        """
        chosen = self._checked_heads(heads)
        if chosen == self.heads:
            return
        # Needed to rewrite a graph, not to score with it: both import onnx.
        from edge_ood.graph.decision import keep_heads  # noqa: PLC0415
        from edge_ood.graph.loading import model_of  # noqa: PLC0415

        model = model_of(self.file)
        kept = keep_heads(model, self.heads, chosen, primary=self.metadata.primary)
        self._session = open_session(
            kept.SerializeToString(), provider=self.provider, threads=self.threads
        )
        self.heads, self._outputs = chosen, contract_outputs(chosen)

    def _checked_heads(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """The heads in the file's order."""
        for name in wanted:
            if not name:
                raise InputError(
                    f"an empty name among the scores {','.join(wanted)!r}",
                    hint=f"one or more of {','.join(self.heads)}",
                )
            if name not in self.heads:
                raise UnknownNameError("score of this artefact", name, self.heads)
        primary = self.metadata.primary
        if primary not in wanted:
            raise InputError(
                f"scores {', '.join(wanted)} without {primary!r}, which decides in '{self.path}'",
                hint=f"add {primary!r}",
            )
        return tuple(name for name in self.heads if name in wanted)

    def _check_contract(self) -> None:
        with translated_errors(f"'{self.path}' is damaged"):
            inputs = {value.name: value.type for value in self._session.get_inputs()}
            outputs = {value.name: value.type for value in self._session.get_outputs()}
            shapes = {value.name: value.shape for value in self._session.get_outputs()}
        if inputs != {INPUT_NAME: "tensor(uint8)"}:
            raise self._broken_contract(f"inputs {inputs}, expected '{INPUT_NAME}' of uint8 alone")
        if list(outputs.items()) != list(self._outputs.items()):
            raise self._broken_contract(f"outputs {outputs}, expected {self._outputs}")
        if any(len(shape) != 1 + (name == "logits") for name, shape in shapes.items()):
            raise self._broken_contract(f"outputs of shape {shapes}, expected one row per image")
        if shapes["logits"][1] != len(self.metadata.classes):
            named = len(self.metadata.classes)
            raise self._broken_contract(f"{shapes['logits'][1]} logits for {named} class names")

    def _broken_contract(self, what: str) -> ArtifactError:
        return ArtifactError(f"'{self.path}' has {what}", hint="export it again")
