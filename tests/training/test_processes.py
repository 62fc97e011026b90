"""Two CPU processes under torchrun are one process with the joined batch."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import safetensors.torch
import torch

from edge_ood.training.energies import read_energies
from edge_ood.training.run_directory import read_metrics

pytestmark = pytest.mark.slow  # each process imports torch

TORCHRUN = (sys.executable, "-Im", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

# One batch of every objective, by the product's own session. Batch normalisation uses its stored
# statistics and nothing is dropped: in training each process normalises its own share, and draws
# its own dropout, as everywhere in data-parallel training.
GRADIENTS = """
    import sys
    from pathlib import Path
    import safetensors.torch
    from edge_ood.objectives import OBJECTIVES, bind_objective
    from edge_ood.images.preprocess import Preprocess
    from edge_ood.registry import Spec
    from edge_ood.training.devices import end_processes, start_fabric
    from edge_ood.training.run_directory import RunConfig
    from edge_ood.training.settings import Settings
    from edge_ood.training.session import start_session
    from edge_ood.training.targets import with_targets
    from edge_ood.training.training_set import Folders, read_training_set

    images, output = Path(sys.argv[1]), Path(sys.argv[2])
    parts = ("train", "outliers", "calibration", "validation")
    folders = Folders(*(images / part for part in parts))
    targets = {"mixup": 0.5, "label_smoothing": 0.1, "balance": "loss"}
    ways = [({}, "", spec) for spec in sys.argv[3:]] + [(targets, "mixed-", "logit-norm")]
    for options, way, spec in ways:
        objective = bind_objective(spec)
        model = Spec("wrn-10-1", {"dropout": 0.0})
        settings = Settings(
            model, objective, heads=2, batch_size=14, outlier_batch_size=8, **options
        )
        fabric = start_fabric("cpu", settings)
        training_set = read_training_set(folders, Preprocess(8), 0, output)
        config = RunConfig(settings, training_set.splits["training"].classes, Preprocess(8))
        session = start_session(fabric, config, training_set)
        session.classifier.eval()
        losses = OBJECTIVES.get(objective.name).losses
        gradients = {}
        batch = with_targets(session, session.batches.at(3), 3)
        for index, loss in enumerate(losses(session.model, batch, **objective.parameters)):
            fabric.backward(loss)
            for name, parameter in session.classifier.named_parameters():
                if parameter.grad is not None:
                    gradients[f"{index}.{name}"] = parameter.grad.contiguous()
            session.optimizer.zero_grad()
        if fabric.is_global_zero:
            name = f"{way}{objective.name}-{fabric.world_size}.safetensors"
            (output / name).write_bytes(safetensors.torch.save(gradients))
    end_processes()
"""
# One step of training with statistics of the joined batch, and the averages after it.
SYNCHRONIZED = """
    import sys
    from pathlib import Path
    import safetensors.torch
    from edge_ood.objectives import OBJECTIVES, bind_objective
    from edge_ood.images.preprocess import Preprocess
    from edge_ood.registry import Spec
    from edge_ood.training.devices import end_processes, start_fabric
    from edge_ood.training.run_directory import RunConfig
    from edge_ood.training.settings import Settings
    from edge_ood.training.session import start_session
    from edge_ood.training.training_set import Folders, read_training_set

    images, output = Path(sys.argv[1]), Path(sys.argv[2])
    settings = Settings(
        Spec("wrn-10-1", {"dropout": 0.0}), bind_objective("cross-entropy"), batch_size=14,
        batch_norm="synchronized",
    )
    fabric = start_fabric("cpu", settings)
    folders = Folders(images / "train", None, images / "calibration", images / "validation")
    training_set = read_training_set(folders, Preprocess(8), 0, output)
    config = RunConfig(settings, training_set.splits["training"].classes, Preprocess(8))
    session = start_session(fabric, config, training_set)
    session.classifier.train()
    (loss,) = OBJECTIVES.get("cross-entropy").losses(session.model, session.batches.at(3))
    fabric.backward(loss)
    found = {
        f"gradient of {name}": parameter.grad.contiguous()
        for name, parameter in session.classifier.named_parameters()
    }
    found |= {name: buffer.contiguous() for name, buffer in session.classifier.named_buffers()}
    if fabric.is_global_zero:
        name = f"{fabric.world_size}.safetensors"
        (output / name).write_bytes(safetensors.torch.save(found))
    end_processes()
"""
# What one process computes at once is cut to 4 images, so that both have some.
ENERGIES = """
    import sys
    from pathlib import Path
    from edge_ood.training import evaluation
    from edge_ood.training.devices import end_processes, start_fabric
    from edge_ood.training.energies import Energies, write_energies
    from edge_ood.objectives import bind_objective
    from edge_ood.images.preprocess import Preprocess
    from edge_ood.registry import Spec
    from edge_ood.training.run_directory import RunConfig
    from edge_ood.training.session import start_session
    from edge_ood.training.settings import Settings
    from edge_ood.training.training_set import Folders, read_training_set

    evaluation._EVALUATION_BATCH = 4
    images, output = Path(sys.argv[1]), Path(sys.argv[2])
    parts = ("train", "outliers", "calibration", "validation")
    settings = Settings(Spec("wrn-10-1"), bind_objective("outlier-exposure"), batch_size=14)
    fabric = start_fabric("cpu", settings)
    folders = Folders(*(images / part for part in parts))
    training_set = read_training_set(folders, Preprocess(8), 0, output)
    config = RunConfig(settings, training_set.splits["training"].classes, Preprocess(8))
    session = start_session(fabric, config, training_set)
    energies = Energies(evaluation.measure_energies(session))
    if fabric.is_global_zero:
        write_energies(output / str(fabric.world_size), energies)
    end_processes()
"""
OBJECTIVES = (
    "cross-entropy",
    "logit-norm",
    "feature-norm",
    "outlier-exposure:weight=2",
    "energy-bounded:weight=1,m_in=-1,m_out=-0.5",
    "classifier-discrepancy:margin=9",  # above ln K: the hinge of no share closes
)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """A finished process that succeeded."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert 0 == done.returncode, done.stderr
    return done


@pytest.fixture(scope="module")
def gradients(tiny_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of gradients by objective and number of processes."""
    output = tmp_path_factory.mktemp("gradients")
    script = output / "gradients.py"
    script.write_text(textwrap.dedent(GRADIENTS), "utf-8")
    for launcher in ((sys.executable, "-I"), TORCHRUN):
        run(*launcher, str(script), str(tiny_images), str(output), *OBJECTIVES)
    return output


@pytest.mark.parametrize("objective", [*OBJECTIVES, "mixed-logit-norm"])
def test_two_processes_have_the_gradients_of_the_joined_batch(
    gradients: Path, objective: str
) -> None:
    """Every mean is over the whole batch of its own kind, not over what one process holds.

    An image is mixed with the one before it in the whole batch, which may be another process' own.
    """
    name = objective.partition(":")[0]
    one, two = (
        safetensors.torch.load_file(gradients / f"{name}-{processes}.safetensors")
        for processes in (1, 2)
    )

    assert one.keys() == two.keys()
    for key, gradient in one.items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(two[key], gradient, rtol=1e-4, atol=1e-5 * scale)


def test_synchronized_processes_train_as_one_does(tiny_images: Path, tmp_path: Path) -> None:
    """Gradients and averages are those of the joined batch in layers of torch itself."""
    script = tmp_path / "synchronized.py"
    script.write_text(textwrap.dedent(SYNCHRONIZED), "utf-8")

    for launcher in ((sys.executable, "-I"), TORCHRUN):
        run(*launcher, str(script), str(tiny_images), str(tmp_path))

    one, two = (safetensors.torch.load_file(tmp_path / f"{n}.safetensors") for n in (1, 2))
    assert one.keys() == two.keys()
    assert any("running_var" in name for name in one)
    for name, value in one.items():
        scale = value.abs().max().item()
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5 * scale, msg=name)


NODES = textwrap.dedent(
    """
    import subprocess, sys
    rendezvous = ("--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1",
                  "--master-port", sys.argv[1])
    started = [
        subprocess.Popen([sys.executable, "-Im", "torch.distributed.run", *rendezvous,
                          "--node-rank", str(rank), *sys.argv[2:]])
        for rank in (0, 1)
    ]
    sys.exit(max(each.wait() for each in started))
    """
)


def test_two_nodes_find_each_other(tiny_images: Path, tmp_path: Path) -> None:
    """Static rendezvous, one process a node: the first node writes; one process goes on with it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    output = tmp_path / "run"
    command = ["train", str(tiny_images / "train"), "-o", str(output), "--device", "cpu"]
    command += ["--calibration", str(tiny_images / "calibration")]
    command += ["--validation", str(tiny_images / "validation")]
    command += ["--model", "wrn-10-1:dropout=0", "--image-size", "8", "--batch-size", "14"]
    command += ["--batch-norm", "synchronized", "--lr", "0.05", "--epochs", "2"]
    program = ("-Ic", "from edge_ood.cli import main; main()")

    trained = run(
        sys.executable, "-Ic", NODES, port, "--no-python", sys.executable, *program, *command
    )
    (output / "model.safetensors").unlink()  # as if it had been stopped before the end
    resumed = run(sys.executable, *program, *command, "--resume")

    assert 1 == trained.stdout.count(f"wrote '{output}'")
    assert "processes 2 and goes on with 1" in " ".join(resumed.stderr.split())


def test_torchrun_trains_and_one_process_speaks(tiny_images: Path, tmp_path: Path) -> None:
    """Each line appears once; the record says two; resuming a finished run says so."""
    output = tmp_path / "run"
    command = [
        *(*TORCHRUN, "--no-python", sys.executable, "-Ic", "from edge_ood.cli import main; main()"),
        *("train", str(tiny_images / "train"), "-o", str(output), "--device", "cpu"),
        *("--calibration", str(tiny_images / "calibration")),
        *("--validation", str(tiny_images / "validation")),
        *("--model", "wrn-10-1:dropout=0", "--image-size", "8", "--epochs", "2"),
        *("--batch-size", "14", "--outlier-batch-size", "6", "--lr", "0.05"),
    ]

    trained = run(*command)
    resumed = run(*command, "--resume")

    wrote, page = trained.stdout.splitlines()
    assert f"wrote '{output}': validation accuracy" == wrote.rpartition(" ")[0]
    assert page.startswith(f"{output / 'report.html'}: ")
    assert 1 == trained.stderr.count("epoch 1/2") == trained.stderr.count("next: edge-ood export")
    assert 1 == resumed.stderr.count("is already finished")
    assert 2 == len(read_metrics(output))


def test_processes_share_the_energies(tiny_images: Path, tmp_path: Path) -> None:
    """Each image is in the part of one process, and the record has all, as one process has them."""
    script = tmp_path / "energies.py"
    script.write_text(textwrap.dedent(ENERGIES), "utf-8")

    for launcher in ((sys.executable, "-I"), TORCHRUN):
        run(*launcher, str(script), str(tiny_images), str(tmp_path))

    one, two = (read_energies(tmp_path / str(processes)) for processes in (1, 2))
    assert one is not None
    assert two is not None
    assert {"validation": 10, "outliers": 12} == {k: s.n for k, s in two.before.items()}
    for split, sample in one.before.items():
        assert sample.quantiles == pytest.approx(two.before[split].quantiles, abs=1e-5)
