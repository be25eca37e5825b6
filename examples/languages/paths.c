/* Shortest paths from some nodes of a graph: one thread, no library but libc. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct edge { int to, weight, next; };
struct entry { long distance; int node; };

static int nodes, edges, sources;
static int *first_edge;
static struct edge *edge_list;
static struct entry *heap;
static int heap_size;

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory) {
        perror("calloc");
        exit(1);
    }
    return memory;
}

static int read_number(void)
{
    int number;
    if (scanf("%d", &number) != 1) {
        fputs("the input ends too early\n", stderr);
        exit(1);
    }
    return number;
}

static void heap_push(long distance, int node)
{
    int child = heap_size++;
    while (child > 0 && heap[(child - 1) / 2].distance > distance) {
        heap[child] = heap[(child - 1) / 2];
        child = (child - 1) / 2;
    }
    heap[child] = (struct entry){distance, node};
}

static struct entry heap_pop(void)
{
    struct entry top = heap[0], last = heap[--heap_size];
    int parent = 0, child;
    while ((child = 2 * parent + 1) < heap_size) {
        if (child + 1 < heap_size && heap[child + 1].distance < heap[child].distance)
            child++;
        if (heap[child].distance >= last.distance)
            break;
        heap[parent] = heap[child];
        parent = child;
    }
    heap[parent] = last;
    return top;
}

static void find_paths(int source, long *distances)
{
    for (int node = 0; node < nodes; node++)
        distances[node] = -1;
    heap_push(0, source);
    while (heap_size > 0) {
        struct entry nearest = heap_pop();
        if (distances[nearest.node] >= 0)
            continue;
        distances[nearest.node] = nearest.distance;
        for (int i = first_edge[nearest.node]; i >= 0; i = edge_list[i].next)
            if (distances[edge_list[i].to] < 0)
                heap_push(nearest.distance + edge_list[i].weight, edge_list[i].to);
    }
}

static void add_edge(int index, int from, int to, int weight)
{
    edge_list[index] = (struct edge){to, weight, first_edge[from]};
    first_edge[from] = index;
}

int main(void)
{
    nodes = read_number();
    edges = read_number();
    sources = read_number();
    first_edge = allocate(nodes, sizeof *first_edge);
    edge_list = allocate(2 * edges, sizeof *edge_list);
    heap = allocate(2 * edges + 1, sizeof *heap); /* each edge is pushed once from each end */
    for (int node = 0; node < nodes; node++)
        first_edge[node] = -1;
    for (int i = 0; i < edges; i++) {
        int from = read_number(), to = read_number(), weight = read_number();
        add_edge(2 * i, from, to, weight);
        add_edge(2 * i + 1, to, from, weight);
    }
    long *distances = allocate(nodes, sizeof *distances);
    uint32_t hash = 2166136261u;
    for (int i = 0; i < sources; i++) {
        int source = read_number();
        long reached = 0, farthest = 0, sum = 0;
        find_paths(source, distances);
        for (int node = 0; node < nodes; node++) {
            if (distances[node] < 0)
                continue;
            reached++;
            sum += distances[node];
            if (distances[node] > farthest)
                farthest = distances[node];
        }
        printf("%d: %ld reached, farthest %ld, sum %ld\n", source, reached, farthest, sum);
        hash = (hash ^ (uint32_t)reached) * 16777619u;
        hash = (hash ^ (uint32_t)farthest) * 16777619u;
        hash = (hash ^ (uint32_t)sum) * 16777619u;
    }
    printf("checksum %08" PRIx32 "\n", hash);
    return 0;
}
