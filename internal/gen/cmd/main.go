// Command cmd writes the files of package gen into the source tree: go generate ./internal/gen.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"netwatchd/internal/gen"
)

func main() {
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(root string) error {
	files, err := gen.Files(root)
	if err != nil {
		return err
	}
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
