// Package sandbox tests netwatchd with real sandboxes: those of two versions of codex, bubblewrap, and seccomp filters.
package sandbox
