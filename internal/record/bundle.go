package record

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"time"
)

// A Bundle is the record of an incident to attach to a bug report.
type Bundle struct {
	ID       string
	Markdown string
	JSON     []byte
	More     map[string]string // further files, by name
}

// Write writes the bundle as a tar.gz: incident.md, incident.json, and the further files.
func (b Bundle) Write(w io.Writer, at time.Time) error {
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	files := []struct {
		name    string
		content []byte
	}{{"incident.md", []byte(b.Markdown)}, {"incident.json", b.JSON}}
	for name, text := range b.More {
		files = append(files, struct {
			name    string
			content []byte
		}{name, []byte(text)})
	}
	for _, f := range files {
		head := &tar.Header{Name: "netwatchd-" + b.ID + "/" + f.name, Mode: 0o644, Size: int64(len(f.content)),
			ModTime: at, Format: tar.FormatPAX}
		if err := archive.WriteHeader(head); err != nil {
			return fmt.Errorf("bundle: %w", err)
		}
		if _, err := archive.Write(f.content); err != nil {
			return fmt.Errorf("bundle: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := zipped.Close(); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}
