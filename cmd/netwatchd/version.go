package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"netwatchd/internal/metrics"
)

// version is set at link time for a release. Otherwise the commit takes its place.
var version = ""

func build() metrics.Build {
	b := metrics.Build{Version: version, Revision: "unknown", GoVersion: runtime.Version()}
	if about, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range about.Settings {
			if setting.Key == "vcs.revision" {
				b.Revision = setting.Value
			}
		}
	}
	if b.Version == "" {
		b.Version = "dev-" + b.Revision[:min(len(b.Revision), 12)]
	}
	return b
}

func versionCommand(out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and build information",
		Run:   func(*cobra.Command, []string) { fmt.Fprintln(out, versionLine()) },
	}
}

func versionLine() string {
	b := build()
	return fmt.Sprintf("netwatchd %s (revision %s, %s, %s/%s)",
		b.Version, b.Revision, b.GoVersion, runtime.GOOS, runtime.GOARCH)
}
