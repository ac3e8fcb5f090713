// Package sessions tests that the session files of the real codex show how its turns end, and what its sandbox denies
// its commands. Nothing leaves the loopback address.
package sessions
