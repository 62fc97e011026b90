"""The trained weights of a run directory, as the network that they belong to."""

import safetensors
import safetensors.torch

from edge_ood.errors import ArtifactError
from edge_ood.files.regular import read_regular
from edge_ood.models import Classifier, build_classifier, merge_heads
from edge_ood.training.damage import DAMAGE
from edge_ood.training.run_directory import Run

__all__ = ["load_model", "load_weights"]


def load_model(run: Run) -> Classifier:
    """The trained classifier of a finished run, in evaluation mode, its heads merged for export.

    Raises:
        ArtifactError: If the weights are missing, damaged or belong to another network.
    """
    settings = run.config.settings
    trained = build_classifier(settings.model, len(run.config.classes), heads=settings.heads)
    load_weights(trained, run)
    return merge_heads(trained)


def load_weights(model: Classifier, run: Run) -> None:
    """Fill an untrained classifier with the weights of a finished run.

    Raises:
        ArtifactError: If the weights are missing, damaged or belong to another network.
    """
    path = run.weights_path
    try:
        model.load_state_dict(safetensors.torch.load(read_regular(path)))
    except OSError as error:
        raise ArtifactError(
            f"cannot read '{path}': {error.strerror}",
            hint="an unfinished run is continued by 'edge-ood train ... --resume'",
        ) from error
    except (*DAMAGE, safetensors.SafetensorError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ArtifactError(f"'{path}' is damaged: {reason}", hint="train again") from error
