"""Damage to sound files, as a function of a generator's state."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["mutated"]

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
VALUES = (
    None,
    True,
    0,
    -1,
    0.5,
    1e308,
    2**63,
    2**70,
    10**400,
    "a\0b",
    "",
    "x" * 99,
    "\u84dd\0",
    [],
    {},
    [[]],
    {"a": None},
)


def mutated(seeds: Sequence[bytes], generator: np.random.Generator) -> bytes:
    """A sound input with one to eight kinds of damage."""
    content = bytearray(seeds[generator.integers(len(seeds))])
    if content[:1] == b"{" and generator.random() < 0.5:
        return mutated_json(bytes(content), generator)
    for _ in range(int(generator.choice([1, 1, 1, 2, 4, 8]))):
        damage(content, seeds, generator)
    return bytes(content)


def damage(content: bytearray, seeds: Sequence[bytes], generator: np.random.Generator) -> None:
    """One kind of damage at one place, headers preferred."""
    reach = len(content) if generator.random() < 0.5 else min(len(content), 200)
    start = int(generator.integers(reach + 1))
    end = start + int(generator.integers(1, 33))
    other = seeds[generator.integers(len(seeds))]
    origin = int(generator.integers(len(other) + 1))
    width = int(generator.choice([1, 2, 4]))
    number = int(generator.choice(NUMBERS)) & (1 << 8 * width) - 1
    kinds = [
        (start, start + 1, generator.bytes(1)),
        (start, start + width, number.to_bytes(width, "little")),
        (start, start + width, number.to_bytes(width, "big")),
        (start, end, b""),
        (start, start, bytes(content[start:end]) * int(generator.integers(1, 9))),
        (start, end, other[origin : origin + 32]),
        (start, len(content), other[origin:]),
        (start, len(content), b""),
    ]
    begin, stop, replacement = kinds[generator.integers(len(kinds))]
    content[begin:stop] = replacement


def mutated_json(content: bytes, generator: np.random.Generator) -> bytes:
    """A document with values, keys and lists exchanged, doubled or left out, still JSON."""
    document = json.loads(content)
    for _ in range(int(generator.choice([1, 1, 2, 4]))):
        places = list(containers(document))
        container = places[generator.integers(len(places))]
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        if not keys:
            continue
        key = keys[generator.integers(len(keys))]
        donor = places[generator.integers(len(places))]
        values = [*VALUES, *(donor.values() if isinstance(donor, dict) else donor)]
        if isinstance(container[key], int | float):
            values += [-container[key], container[key] * 2, container[key] + 1, 1e-300, 1e9]
        if generator.random() < 0.1:
            del container[key]
        else:
            container[key] = json.loads(json.dumps(values[generator.integers(len(values))]))
    return json.dumps(document).encode()


def containers(value: Any) -> Iterator[Any]:
    """Every object and list in a document."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)
