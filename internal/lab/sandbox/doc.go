// Package sandbox tests what netwatchd says to whom around the real sandboxes of two versions of codex; which causes they
// lead to is told by package scenes.
package sandbox
