package redact_test

import (
	"fmt"

	"netwatchd/internal/redact"
)

func ExampleString() {
	fmt.Println(redact.String("GET https://user:pass@example.com/v1?api_key=k9d8f7a6 with Authorization: Bearer abcdef123456"))
	// Output: GET https://[secret]@example.com/v1?api_key=[secret] with Authorization: [secret]
}

func ExampleQuote() {
	fmt.Println(redact.Quote("HTTP 403\r\n\x1b[31mtoken=abc123def456\x1b[0m", 80))
	// Output: HTTP 403 [31mtoken=[secret]
}
