package main

import "fmt"

func main() {
	low, high := 1, 1000
	for {
		guess := (low + high) / 2
		fmt.Println(guess)
		var reply string
		fmt.Scan(&reply)
		switch reply {
		case "correct":
			return
		case "lower":
			high = guess - 1
		default:
			low = guess + 1
		}
	}
}
