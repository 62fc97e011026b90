"""Shards: every file in exactly one, by whole batches."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_ood.errors import InputError
from edge_ood.tables.shards import Shard, ShardFiles

CASES = [
    (total, count, batch_size)
    for total in (0, 1, 5, 31, 32, 33, 100)
    for count in (1, 2, 3, 7)
    for batch_size in (1, 4, 32)
]


def files(names: Sequence[str]) -> list[Path]:
    """Paths of these names."""
    return [Path(name) for name in names]


@pytest.mark.parametrize(("total", "count", "batch_size"), CASES)
def test_batches_are_dealt_out_in_turn(total: int, count: int, batch_size: int) -> None:
    """Taking a batch of each shard in turn gives all files back in their order."""
    everything = files([str(i) for i in range(total)])
    shares = [list(ShardFiles(everything, Shard(i + 1, count), batch_size)) for i in range(count)]

    together = [
        path
        for start in range(0, total, batch_size)
        for share in shares
        for path in share[start : start + batch_size]
    ]

    assert everything == together


@pytest.mark.parametrize(("total", "count", "batch_size"), CASES)
def test_the_size_is_known_before(total: int, count: int, batch_size: int) -> None:
    """Counting is as good as dealing out."""
    everything = files([str(i) for i in range(total)])
    shares = [ShardFiles(everything, Shard(i + 1, count), batch_size) for i in range(count)]

    assert [len(list(share)) for share in shares] == [share.count() for share in shares]


def test_a_walk_takes_note_of_all_files() -> None:
    """Shards that saw the same files agree on it; a name more, less or other is noticed."""
    found = {}
    for label, names in (
        ("same", ["a", "b", "c"]),
        ("order", ["a", "c", "b"]),
        ("more", ["a", "b", "c", "d"]),
        ("border", ["a", "bc"]),
    ):
        for index in (1, 2):
            walk = ShardFiles(files(names), Shard(index, 2), 1)
            assert len(names) == len(list(walk)) + len(
                list(ShardFiles(files(names), Shard(3 - index, 2), 1))
            )
            found[label, index] = (walk.total, walk.digest)

    assert {3, 4, 2} == {total for total, _ in found.values()}
    assert all(found[label, 1] == found[label, 2] for label, _ in found)
    assert 4 == len(set(found.values()))


def test_a_walk_that_is_not_over_says_nothing() -> None:
    """The number and hash are those of a complete walk."""
    walk = ShardFiles(files(["a", "b"]), Shard(), 1)

    next(iter(walk))

    assert (0, "") == (walk.total, walk.digest)


@pytest.mark.parametrize(
    ("text", "expected"), [("1/1", (1, 1)), ("2/3", (2, 3)), ("04/10", (4, 10))]
)
def test_a_shard_is_read(text: str, expected: tuple[int, int]) -> None:
    """I/N, counted from 1."""
    shard = Shard.parse(text)

    assert expected == (shard.index, shard.count)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0/2",
        "3/2",
        "1/0",
        "-1/2",
        "1/-2",
        "1/2/3",
        "a/b",
        "1.0/2",
        "1/1e9",
        "\u0661/\u0662",
    ],
)
def test_what_is_no_shard_is_an_error(text: str) -> None:
    """With a hint that shows one."""
    with pytest.raises(InputError, match="shard") as raised:
        Shard.parse(text)

    assert "1/" in str(raised.value.hint)
