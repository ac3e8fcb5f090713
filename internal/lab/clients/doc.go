// Package clients has no code: its test asks real programs how they resolve names.
package clients
