package main

import "fmt"

func main() {
	var numbers []int
	fmt.Println(numbers[len(numbers)])
}
