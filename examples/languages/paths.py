"""Shortest paths from some nodes of a graph: a pool of threads shares the sources."""

import sys
from concurrent.futures import ThreadPoolExecutor
from heapq import heappop, heappush


def find_paths(graph: list[list[tuple[int, int]]], source: int) -> tuple[int, int, int]:
    """How many nodes `source` reaches, the longest distance, and the sum of all."""
    distances: dict[int, int] = {}
    heap = [(0, source)]
    while heap:
        distance, node = heappop(heap)
        if node in distances:
            continue
        distances[node] = distance
        for neighbour, weight in graph[node]:
            if neighbour not in distances:
                heappush(heap, (distance + weight, neighbour))
    return len(distances), max(distances.values()), sum(distances.values())


def main() -> None:
    numbers = iter(map(int, sys.stdin.read().split()))
    nodes, edges, sources = next(numbers), next(numbers), next(numbers)
    graph: list[list[tuple[int, int]]] = [[] for _ in range(nodes)]
    for _ in range(edges):
        start, end, weight = next(numbers), next(numbers), next(numbers)
        graph[start].append((end, weight))
        graph[end].append((start, weight))
    wanted = [next(numbers) for _ in range(sources)]
    with ThreadPoolExecutor(4) as pool:
        summaries = list(pool.map(lambda source: find_paths(graph, source), wanted))
    checksum = 2166136261
    for source, summary in zip(wanted, summaries, strict=True):
        reached, farthest, total = summary
        print(f"{source}: {reached} reached, farthest {farthest}, sum {total}")
        for number in summary:
            checksum = (checksum ^ number) * 16777619 & 0xFFFFFFFF
    print(f"checksum {checksum:08x}")


main()
