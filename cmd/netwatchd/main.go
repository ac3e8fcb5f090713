// Command netwatchd reports whose fault it is when a coding agent cannot reach its service.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	_ "netwatchd/internal/statusline/early" // status --line
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
