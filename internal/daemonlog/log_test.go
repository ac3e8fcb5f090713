package daemonlog

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"netwatchd/internal/config"
)

// No format of the log shows a secret, whoever logs it.
func TestLogHasNoSecrets(t *testing.T) {
	err := &url.Error{Op: "Post", URL: "https://metrics.example/write?token=S3cretvalue", Err: errors.New("connection refused")}
	for _, format := range []string{"text", "json", "auto"} {
		var b strings.Builder
		log := New(config.Log{Level: "debug", Format: format}, &b).With("receiver", "central")
		log.Warn("cannot push: samples wait in the queue", "error", err)
		if text := b.String(); strings.Contains(text, "S3cret") || !strings.Contains(text, "connection refused") || !strings.Contains(text, "metrics.example/write") {
			t.Errorf("%s: %s", format, text)
		}
	}
}
