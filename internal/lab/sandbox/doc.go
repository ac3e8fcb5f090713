// Package sandbox tests netwatchd's output inside and outside of the real sandboxes of two versions of codex. Package
// scenes tests their causes.
package sandbox
