// Shortest paths from some nodes of a graph: four goroutines share the sources.
package main

import (
	"bufio"
	"container/heap"
	"fmt"
	"log"
	"os"
	"sync"
)

type edge struct{ to, weight int }

type entry struct{ distance, node int }

type entries []entry

func (e entries) Len() int           { return len(e) }
func (e entries) Less(i, j int) bool { return e[i].distance < e[j].distance }
func (e entries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *entries) Push(x any)        { *e = append(*e, x.(entry)) }
func (e *entries) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

type summary struct{ reached, farthest, sum int }

func findPaths(graph [][]edge, source int) (found summary) {
	done := make([]bool, len(graph))
	queue := &entries{{0, source}}
	for queue.Len() > 0 {
		nearest := heap.Pop(queue).(entry)
		if done[nearest.node] {
			continue
		}
		done[nearest.node] = true
		found.reached++
		found.sum += nearest.distance
		if nearest.distance > found.farthest {
			found.farthest = nearest.distance
		}
		for _, e := range graph[nearest.node] {
			if !done[e.to] {
				heap.Push(queue, entry{nearest.distance + e.weight, e.to})
			}
		}
	}
	return found
}

func readNumber(input *bufio.Reader) (number int) {
	if _, err := fmt.Fscan(input, &number); err != nil {
		log.Fatal(err)
	}
	return number
}

func main() {
	input := bufio.NewReader(os.Stdin)
	nodes, edges, sources := readNumber(input), readNumber(input), readNumber(input)
	graph := make([][]edge, nodes)
	for i := 0; i < edges; i++ {
		from, to, weight := readNumber(input), readNumber(input), readNumber(input)
		graph[from] = append(graph[from], edge{to, weight})
		graph[to] = append(graph[to], edge{from, weight})
	}
	wanted := make([]int, sources)
	for i := range wanted {
		wanted[i] = readNumber(input)
	}

	summaries := make([]summary, sources)
	jobs := make(chan int)
	var workers sync.WaitGroup
	for i := 0; i < 4; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for job := range jobs {
				summaries[job] = findPaths(graph, wanted[job])
			}
		}()
	}
	for job := range wanted {
		jobs <- job
	}
	close(jobs)
	workers.Wait()

	hash := uint32(2166136261)
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	for i, found := range summaries {
		fmt.Fprintf(output, "%d: %d reached, farthest %d, sum %d\n",
			wanted[i], found.reached, found.farthest, found.sum)
		for _, number := range []int{found.reached, found.farthest, found.sum} {
			hash = (hash ^ uint32(number)) * 16777619
		}
	}
	fmt.Fprintf(output, "checksum %08x\n", hash)
}
