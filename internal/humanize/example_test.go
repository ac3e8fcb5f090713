package humanize_test

import (
	"fmt"
	"time"

	"netwatchd/internal/humanize"
)

func ExampleLatency() {
	fmt.Println(humanize.Latency(84 * time.Millisecond))
	fmt.Println(humanize.Latency(4200 * time.Millisecond))
	// Output:
	// 84 ms
	// 4.2 s
}

func ExampleSpan() {
	fmt.Println(humanize.Span(192 * time.Minute))
	// Output: 3 h 12 min
}
