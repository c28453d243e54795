"""Nearest vectors and clusters, against the plain ways to them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilens.album import vectors as module
from mobilens.album.clustering import clusters
from mobilens.album.pairs import components, similar_pairs
from mobilens.album.vectors import Vectors


def unit(rows: int, length: int = 32, seed: int = 0) -> Any:
    vectors = np.random.default_rng(seed).normal(size=(rows, length)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def people(count: int, each: int, noise: float, seed: int = 0) -> Any:
    """``each`` vectors around each of ``count`` directions, shuffled, and whose they are."""
    stream = np.random.default_rng(seed)
    who = stream.permutation(np.repeat(np.arange(count), each))
    vectors = unit(count, seed=seed)[who] + noise * stream.normal(size=(len(who), 32)) / np.sqrt(32)
    vectors = vectors.astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), who


def test_the_nearest_are_those_of_a_plain_product() -> None:
    rows, queries = unit(2000), unit(20, seed=1)
    found = Vectors.of(rows)
    for query in queries:
        products = rows @ query
        expected = np.argsort(-products, kind="stable")[:7]
        near = found.nearest(query, 7)
        assert [number for number, _ in near] == expected.tolist()
        assert [value for _, value in near] == pytest.approx(products[expected], abs=1e-6)


def test_every_vector_keeps_its_number_whatever_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 4)
    rows = unit(5000, length=16)
    assert np.array_equal(Vectors.of(rows).rows, rows)


def test_of_equals_the_first_comes_first_and_more_than_all_is_all() -> None:
    rows = np.repeat(unit(2), [4, 1], axis=0)
    near = Vectors.of(rows).nearest(rows[0], 50)
    assert [number for number, _ in near] == [0, 1, 2, 3, 4]
    assert near[0][1] <= 1


def test_very_many_are_found_through_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT_UP_TO", 100)
    rows, _ = people(100, 20, 0.5)
    found = Vectors.from_bytes(Vectors.of(rows).to_bytes())
    right = 0
    for row in rows[::20]:
        expected = np.argsort(-(rows @ row))[:10]
        right += len({number for number, _ in found.nearest(row, 10)} & set(expected.tolist()))
    assert right >= 0.95 * 10 * 100


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_pairs_are_those_of_the_whole_matrix(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mobilens.album.pairs.SCORES_AT_ONCE", 1000)
    rows = unit(count, length=4)
    found = {
        (one, other): value
        for part in similar_pairs(rows, 0.5)
        for one, other, value in zip(*(array.tolist() for array in part), strict=True)
    }
    whole = np.triu(rows @ rows.T, 1)
    assert set(found) == set(zip(*np.nonzero(whole >= 0.5), strict=True))
    assert all(value == pytest.approx(whole[pair], abs=1e-6) for pair, value in found.items())


def test_components_join_chains_that_come_in_any_order() -> None:
    def part(*pairs: tuple[int, int]) -> Any:
        ends = np.array(pairs)
        return ends[:, 0], ends[:, 1], np.ones(len(ends), np.float32)

    parts = [part((4, 5), (8, 9)), part((0, 9), (5, 8)), part((2, 3))]
    assert components(10, parts).tolist() == [0, 1, 2, 2, 0, 0, 6, 7, 0, 0]


def by_merging_the_best_pair(rows: Any, least: float) -> set[frozenset[int]]:
    """Average linkage as it is defined."""
    found = [[number] for number in range(len(rows))]
    matrix = rows.astype(np.float64) @ rows.T.astype(np.float64)
    while len(found) > 1:
        best = max(
            (matrix[np.ix_(found[a], found[b])].mean(), a, b)
            for b in range(len(found))
            for a in range(b)
        )
        if best[0] < least:
            break
        found[best[1]] += found.pop(best[2])
    return {frozenset(one) for one in found}


@settings(max_examples=30)
@given(
    st.integers(1, 30), st.floats(0.1, 1.5), st.sampled_from([-1.0, 0.2, 0.5, 0.8]), st.integers(0)
)
def test_clusters_are_those_of_merging_the_best_pair(
    count: int, noise: float, least: float, seed: int
) -> None:
    rows, _ = people(-(-count // 4), 4, noise, seed)
    found = clusters(rows[:count], least)
    assert {frozenset(one.tolist()) for one in found} == by_merging_the_best_pair(
        rows[:count], least
    )


def test_equal_vectors_end() -> None:
    rows = np.repeat(unit(3), 40, axis=0)
    found = sorted(one.tolist() for one in clusters(rows, 0.9))
    assert found == [list(range(start, start + 40)) for start in (0, 40, 80)]
    assert clusters(unit(0), 0.5) == []


def test_people_are_told_apart() -> None:
    rows, who = people(20, 10, 0.6)
    found = clusters(rows, 0.5)
    assert len(found) == 20
    assert all(len(set(who[one])) == 1 for one in found)


def test_a_chain_is_no_cluster() -> None:
    """Neighbours are alike all the way from one end to the other, the ends are not."""
    angles = np.linspace(0, np.pi, 40)
    rows = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    assert len(np.unique(components(40, similar_pairs(rows, 0.9)))) == 1
    found = clusters(rows, 0.9)
    assert len(found) > 3
    assert all((rows[one] @ rows[one].T).mean() >= 0.9 for one in found)
