// As work.c.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func integer(count int) {
	x := uint32(1)
	for i := 0; i < count; i++ {
		x = x*1664525 + 1013904223
		x ^= x >> 13
	}
	fmt.Println(x)
}

func memory(size uint32, count int) {
	next := make([]uint32, size)
	for i := range next {
		next[i] = (uint32(i)*1664525 + 1013904223) & (size - 1)
	}
	at := uint32(0)
	for i := 0; i < count; i++ {
		at = next[at]
	}
	fmt.Println(at)
}

func floating(count int) {
	sum := 0.0
	for i := 0; i < count; i++ {
		sum = sum*0.999 + 1.0/(float64(i)+0.5)
	}
	fmt.Printf("%.6f\n", sum*1000)
}

func main() {
	if len(os.Args) == 1 {
		return
	}
	numbers := []int{}
	for _, word := range os.Args[2:] {
		number, _ := strconv.Atoi(word)
		numbers = append(numbers, number)
	}
	switch os.Args[1] {
	case "integer":
		integer(numbers[0])
	case "memory":
		memory(uint32(numbers[0]), numbers[1])
	case "float":
		floating(numbers[0])
	}
}
