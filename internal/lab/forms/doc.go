// Package forms tests netwatchd without a configuration beside each form of codex's sign-in. netwatchd must watch the
// endpoint that the real codex uses, send a key nowhere else, and name the cause of each injected fault.
package forms
