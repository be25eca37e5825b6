// Shortest paths from some nodes of a graph: four threads share the sources.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <iomanip>
#include <iostream>
#include <queue>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace {

struct Edge {
    int to;
    std::int64_t weight;
};

struct Summary {
    std::int64_t reached = 0, farthest = 0, sum = 0;
};

using Graph = std::vector<std::vector<Edge>>;

int read_number() {
    int number;
    if (!(std::cin >> number)) throw std::runtime_error("the input ends too early");
    return number;
}

Summary find_paths(const Graph& graph, int source) {
    using Entry = std::pair<std::int64_t, int>;
    std::vector<std::int64_t> distances(graph.size(), -1);
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> heap;
    heap.emplace(0, source);
    Summary summary;
    while (!heap.empty()) {
        const auto [distance, node] = heap.top();
        heap.pop();
        if (distances[node] >= 0) continue;
        distances[node] = distance;
        summary.reached++;
        summary.sum += distance;
        summary.farthest = std::max(summary.farthest, distance);
        for (const Edge& edge : graph[node])
            if (distances[edge.to] < 0) heap.emplace(distance + edge.weight, edge.to);
    }
    return summary;
}

}  // namespace

int main() try {
    const int nodes = read_number(), edges = read_number(), sources = read_number();
    Graph graph(nodes);
    for (int i = 0; i < edges; i++) {
        const int from = read_number(), to = read_number(), weight = read_number();
        graph.at(from).push_back({to, weight});
        graph.at(to).push_back({from, weight});
    }
    std::vector<int> wanted(sources);
    std::generate(wanted.begin(), wanted.end(), read_number);

    std::vector<Summary> summaries(sources);
    std::atomic<int> next{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&] {
            for (int job; (job = next++) < sources;)
                summaries[job] = find_paths(graph, wanted[job]);
        });
    for (std::thread& thread : threads) thread.join();

    std::uint32_t hash = 2166136261u;
    for (int i = 0; i < sources; i++) {
        const Summary& summary = summaries[i];
        std::cout << wanted[i] << ": " << summary.reached << " reached, farthest "
                  << summary.farthest << ", sum " << summary.sum << '\n';
        for (const std::int64_t number : {summary.reached, summary.farthest, summary.sum})
            hash = (hash ^ static_cast<std::uint32_t>(number)) * 16777619u;
    }
    std::cout << "checksum " << std::hex << std::setw(8) << std::setfill('0') << hash << '\n';
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
