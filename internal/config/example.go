package config

import _ "embed"

// Example is config.example.yaml: every key, its default, and why. It is a copy, because go:embed reaches no file above
// its package; 'go test ./internal/config -update' renews it.
//
//go:embed example.yaml
var Example string
