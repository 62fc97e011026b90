"""Devices: what a system says about itself, whichever it is."""

import os
import platform
from pathlib import Path

import onnxruntime
import pytest

from edge_ood.artifact import device
from edge_ood.artifact.device import Device, library_marks, this_device

X86 = """processor\t: 0
model name\t: Some CPU @ 2.00GHz
flags\t\t: fpu avx avx2 fma avx512_vnni nonsense

processor\t: 1
model name\t: Not read
flags\t\t: amx_int8
"""
ARM = """processor\t: 0
Features\t: fp asimd crc32 asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd08
"""
MAPS = """7f00-7f01 r--p 00000000 08:01 42 {folder}/libcudnn.so.9
7f01-7f02 r-xp 00000000 08:01 42 {folder}/libcudnn.so.9
7f03-7f04 r-xp 00000000 08:01 43 {folder}/libm.so.6
7f05-7f06 r-xp 00000000 08:01 44 /gone/libcublas.so.12
7f07-7f08 rw-p 00000000 00:00 0
"""


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /proc, empty so far."""
    monkeypatch.setattr(device, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(device, "_BOARD", tmp_path / "board")
    monkeypatch.setattr(device, "_NVIDIA", tmp_path / "nvidia")
    monkeypatch.setattr(device, "_MAPS", tmp_path / "maps")
    monkeypatch.delenv("PROCESSOR_IDENTIFIER", raising=False)
    return tmp_path


def test_a_processor_has_name_and_instructions(system: Path) -> None:
    """Of the first block, and only instructions that kernels are chosen by."""
    (system / "cpuinfo").write_text(X86)

    found = this_device("cpu")

    assert "Some CPU @ 2.00GHz" == found.processor
    assert ("avx", "avx2", "fma", "avx512_vnni") == found.instructions
    assert (platform.machine(), onnxruntime.__version__) == (found.machine, found.runtime)
    assert ("cpu", "") == (found.provider, found.accelerator)


def test_an_arm_board_is_known_by_its_name_and_core(system: Path) -> None:
    """Linux gives Arm processors no name; the device tree ends in a zero byte."""
    (system / "cpuinfo").write_text(ARM)
    (system / "board").write_text("Raspberry Pi 4 Model B Rev 1.4\0")

    found = this_device("cpu")

    assert "Raspberry Pi 4 Model B Rev 1.4, core 0x41:0xd08" == found.processor
    assert ("asimd", "asimddp") == found.instructions


def test_a_system_without_proc_is_no_error(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has a variable; elsewhere the architecture has to do."""
    assert "" == this_device("cpu").processor
    monkeypatch.setenv("PROCESSOR_IDENTIFIER", "Intel64 Family 6")

    assert "Intel64 Family 6" == this_device("cpu").processor


def test_a_gpu_has_a_name_and_a_driver(system: Path) -> None:
    """Each model once; with the CPU as provider it does not matter."""
    for number, model in enumerate(("NVIDIA B", "NVIDIA A", "NVIDIA B")):
        folder = system / "nvidia" / "gpus" / str(number)
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t {model}\nIRQ: 3\n")
    (system / "nvidia" / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu\nGCC version: 12.3\n"
    )

    assert "NVIDIA A, NVIDIA B, driver 535.129.03" == this_device("cuda").accelerator
    assert {""} == {this_device(provider).accelerator for provider in ("cpu", "openvino")}


def test_gpu_libraries_are_told_apart_by_file(system: Path) -> None:
    """Those that this process has loaded, each once; the CPU's kernels are in onnxruntime."""
    library = system / "libcudnn.so.9"
    library.write_text("one")
    (system / "maps").write_text(MAPS.format(folder=system))
    (first,) = library_marks("cuda")
    os.utime(library, ns=(1, 1))
    (second,) = library_marks("cuda")

    assert first.startswith(f"{library} 3 ")
    assert f"{library} 3 1" == second
    assert [] == library_marks("cpu")


@pytest.mark.parametrize(
    ("machine", "instructions", "provider", "expected"),
    [
        ("x86_64", ("avx2",), "cpu", True),
        ("AMD64", ("avx2", "avx512f"), "cpu", True),
        ("x86_64", ("avx2", "avx_vnni"), "cpu", False),
        ("x86_64", ("avx512f", "avx512_vnni"), "cpu", False),
        ("x86_64", ("avx2",), "cuda", False),
        ("x86_64", (), "cpu", False),
        ("aarch64", ("asimd",), "cpu", False),
    ],
)
def test_only_x86_without_vnni_saturates(
    machine: str, instructions: tuple[str, ...], provider: str, expected: bool
) -> None:
    """Of a processor whose instructions are not known nothing is said."""
    assert expected == Device("", machine, instructions, "", provider).saturates


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Device(), "an unknown device"),
        (Device("P", "x86_64", (), "1.2", "cpu"), "P (x86_64), onnxruntime 1.2 on cpu"),
        (Device("", "arm64", (), "1.2", "cpu"), "(arm64), onnxruntime 1.2 on cpu"),
        (Device("P", "m", (), "1", "cuda", "G"), "P (m), G, onnxruntime 1 on cuda"),
    ],
)
def test_a_device_has_a_line(found: Device, expected: str) -> None:
    """What is not known is left out."""
    assert expected == str(found)
