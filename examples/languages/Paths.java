// Shortest paths from some nodes of a graph: an executor's four threads share the sources.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.StreamTokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.PriorityQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

public class Paths {
    record Edge(int to, long weight) {}

    record Entry(long distance, int node) implements Comparable<Entry> {
        public int compareTo(Entry other) {
            return Long.compare(distance, other.distance);
        }
    }

    record Summary(long reached, long farthest, long sum) {}

    static Summary findPaths(List<List<Edge>> graph, int source) {
        long[] distances = new long[graph.size()];
        Arrays.fill(distances, -1);
        PriorityQueue<Entry> heap = new PriorityQueue<>();
        heap.add(new Entry(0, source));
        long reached = 0, farthest = 0, sum = 0;
        while (!heap.isEmpty()) {
            Entry nearest = heap.poll();
            if (distances[nearest.node] >= 0) continue;
            distances[nearest.node] = nearest.distance;
            reached++;
            sum += nearest.distance;
            farthest = Math.max(farthest, nearest.distance);
            for (Edge edge : graph.get(nearest.node))
                if (distances[edge.to] < 0)
                    heap.add(new Entry(nearest.distance + edge.weight, edge.to));
        }
        return new Summary(reached, farthest, sum);
    }

    static int readNumber(StreamTokenizer input) throws IOException {
        if (input.nextToken() != StreamTokenizer.TT_NUMBER)
            throw new IOException("the input ends too early");
        return (int) input.nval;
    }

    static int mix(int hash, long number) {
        return (hash ^ (int) number) * 16777619;
    }

    public static void main(String[] arguments)
            throws IOException, InterruptedException, ExecutionException {
        StreamTokenizer input =
                new StreamTokenizer(new BufferedReader(new InputStreamReader(System.in)));
        int nodes = readNumber(input), edges = readNumber(input), sources = readNumber(input);
        List<List<Edge>> graph = new ArrayList<>();
        for (int node = 0; node < nodes; node++) graph.add(new ArrayList<>());
        for (int i = 0; i < edges; i++) {
            int from = readNumber(input), to = readNumber(input), weight = readNumber(input);
            graph.get(from).add(new Edge(to, weight));
            graph.get(to).add(new Edge(from, weight));
        }
        int[] wanted = new int[sources];
        for (int i = 0; i < sources; i++) wanted[i] = readNumber(input);

        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<Summary>> summaries = new ArrayList<>();
        for (int source : wanted) summaries.add(pool.submit(() -> findPaths(graph, source)));
        pool.shutdown();

        int hash = (int) 2166136261L;
        StringBuilder output = new StringBuilder();
        for (int i = 0; i < sources; i++) {
            Summary summary = summaries.get(i).get();
            output.append("%d: %d reached, farthest %d, sum %d\n".formatted(
                    wanted[i], summary.reached, summary.farthest, summary.sum));
            hash = mix(mix(mix(hash, summary.reached), summary.farthest), summary.sum);
        }
        System.out.print(output.append("checksum %08x\n".formatted(hash)));
    }
}
