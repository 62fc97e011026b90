"""Whose word runs code: a run directory may come from anybody, and a name in it may be code.

A network of the user's own is `package.module:function`, which importing and calling runs, with the
parameters that stand beside it. On the command line it is the user's word. In `config.json` it is
data, which `edge_ood.models.bind_model` refuses, until the user says the same, or trusts the run.
"""

from dataclasses import replace

from edge_ood.errors import InputError
from edge_ood.models import bind_model
from edge_ood.registry import Spec
from edge_ood.training.run_directory import Run

__all__ = ["trusted_run"]


def trusted_run(run: Run, *, model: Spec | None = None, trust: bool = False) -> Run:
    """The run, its network named by the user where the user has named it.

    Args:
        run: As it was read.
        model: The network that the user named, None for none. It must be the same with all
            parameters: one that the file alone names would reach the user's code.
        trust: Whether the user vouches for the whole run directory.

    Raises:
        InputError: If the user named another network.
    """
    own = run.config.settings.model
    if model is not None and bind_model(model) != own:
        raise InputError(
            f"'{run.path}' was trained with another model than --model {model}",
            hint="leave --model out, or name the same with the same parameters",
        )
    if model is None and not trust:
        return run
    settings = replace(run.config.settings, model=replace(own, origin=""))
    return replace(run, config=replace(run.config, settings=settings))
