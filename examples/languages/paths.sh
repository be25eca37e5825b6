#!/bin/sh
# Shortest paths from some nodes of a graph: two awk processes share the sources.
set -eu

directory=$(mktemp -d)
trap 'rm -r "$directory"' EXIT
cat > "$directory/graph"

# Answers every second source, starting with number $1.
find_paths() {
    awk -v worker="$1" '
        NR == 1 { edges = $2; next }
        NR <= edges + 1 { add_edge($1, $2, $3); add_edge($2, $1, $3); next }
        (NR - edges) % 2 == worker { find_paths($1) }

        function add_edge(from, to, weight) {
            target[from, ++degree[from]] = to
            cost[from, degree[from]] = weight
        }

        # A queue of nodes whose distance fell (Bellman and Ford): awk has no heap.
        function find_paths(source,   distance, queue, queued, head, tail, node, i, to, via) {
            distance[source] = head = tail = 0
            queue[tail++] = source
            while (head < tail) {
                node = queue[head]
                delete queue[head++]
                delete queued[node]
                for (i = 1; i <= degree[node]; i++) {
                    to = target[node, i]
                    via = distance[node] + cost[node, i]
                    if (to in distance && distance[to] <= via) continue
                    distance[to] = via
                    if (!(to in queued)) { queue[tail++] = to; queued[to] }
                }
            }
            print_summary(source, distance)
        }

        function print_summary(source, distance,   node, reached, farthest, sum) {
            for (node in distance) {
                reached++
                sum += distance[node]
                if (distance[node] > farthest) farthest = distance[node]
            }
            printf "%d %d: %d reached, farthest %d, sum %d\n", NR, source, reached, farthest, sum
        }
    ' "$directory/graph"
}

find_paths 0 > "$directory/even" &
find_paths 1 > "$directory/odd"
wait $!
sort -n "$directory/even" "$directory/odd" | cut -d ' ' -f 2- > "$directory/answers"
cat "$directory/answers"

hash=2166136261
while read -r _ reached _ _ farthest _ sum; do
    for number in "$reached" "${farthest%,}" "$sum"; do
        hash=$(((hash ^ number) * 16777619 & 4294967295))
    done
done < "$directory/answers"
printf 'checksum %08x\n' "$hash"
