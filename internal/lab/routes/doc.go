// Package routes asks real programs (codex, claude, gemini, opencode, node, curl) which proxy they choose and whom they
// trust, and compares them with the rules of internal/clientrules. It is test code.
package routes
