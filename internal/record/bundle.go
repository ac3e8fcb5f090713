package record

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"time"
)

// Bundle writes the record as a tar.gz to attach to a bug report: incident.md, incident.json, and the files of more,
// by name.
func (r *Record) Bundle(w io.Writer, more map[string]string, at time.Time) error {
	asJSON, err := r.JSON()
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	files := []struct {
		name    string
		content []byte
	}{{"incident.md", []byte(r.Markdown())}, {"incident.json", asJSON}}
	for name, text := range more {
		files = append(files, struct {
			name    string
			content []byte
		}{name, []byte(text)})
	}
	for _, f := range files {
		head := &tar.Header{Name: "netwatchd-" + r.ID + "/" + f.name, Mode: 0o644, Size: int64(len(f.content)),
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
