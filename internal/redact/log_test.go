package redact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"
)

type stringer string

func (s stringer) String() string { return string(s) }

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

type later struct{ text string }

func (l later) LogValue() slog.Value { return slog.StringValue(l.text) }

// Whatever a secret is logged as, it is not in the log.
func TestHandler(t *testing.T) {
	const text = "GET https://h/?token=" + planted + ": refused"
	unreachable := &url.Error{Op: "Post", URL: "https://h/w?token=" + planted, Err: errors.New("connection refused")}
	for form, log := range map[string]func(*slog.Logger){
		"message":     func(l *slog.Logger) { l.Info(text) },
		"text":        func(l *slog.Logger) { l.Info("m", "a", text) },
		"secret name": func(l *slog.Logger) { l.Info("m", "api_key", planted) },
		"error":       func(l *slog.Logger) { l.Info("m", "error", unreachable) },
		"wrapped":     func(l *slog.Logger) { l.Info("m", "error", fmt.Errorf("pushing: %w", unreachable)) },
		"joined":      func(l *slog.Logger) { l.Info("m", "error", errors.Join(errors.New("x"), unreachable)) },
		"stringer":    func(l *slog.Logger) { l.Info("m", "a", stringer(text)) },
		"log valuer":  func(l *slog.Logger) { l.Info("m", "a", later{text}) },
		"list":        func(l *slog.Logger) { l.Info("m", "a", []string{"x", text}) },
		"struct":      func(l *slog.Logger) { l.Info("m", "a", struct{ X string }{text}) },
		"octets":      func(l *slog.Logger) { l.Info("m", "a", []byte(text)) },
		"URL": func(l *slog.Logger) {
			l.Info("m", "a", &url.URL{Scheme: "https", Host: "h", RawQuery: "sig=" + planted})
		},
		"group":        func(l *slog.Logger) { l.Info("m", slog.Group("g", "a", text)) },
		"with":         func(l *slog.Logger) { l.With("a", text).Info("m") },
		"within group": func(l *slog.Logger) { l.WithGroup("g").With("a", text).Info("m", "b", text) },
	} {
		for handler, next := range map[string]func(*strings.Builder) slog.Handler{
			"JSON": func(b *strings.Builder) slog.Handler { return slog.NewJSONHandler(b, nil) },
			"text": func(b *strings.Builder) slog.Handler { return slog.NewTextHandler(b, nil) },
		} {
			var b strings.Builder
			log(slog.New(Handler(next(&b))))
			if strings.Contains(b.String(), planted) || !strings.Contains(b.String(), Mark) {
				t.Errorf("%s as %s: %s", form, handler, &b)
			}
		}
	}
}

// What is no secret is logged as before, in the form that the handler gives it.
func TestHandlerKeepsTheRest(t *testing.T) {
	log := func(wrap func(slog.Handler) slog.Handler) string {
		var b strings.Builder
		h := wrap(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		l := slog.New(h).With("receiver", "central").WithGroup("g")
		l.Debug("not logged")
		l.Info("pushing works again", "after", time.Minute, "n", 12, "list", []string{"a", "b"}, "at", time.Unix(0, 0).UTC(),
			"error", errors.New("no"), "none", nil, "is", stringer("x"), slog.Group("inner", "x", 1.5))
		return b.String()
	}
	plain := log(func(h slog.Handler) slog.Handler { return h })
	if got := log(Handler); got != plain {
		t.Errorf("got  %swant %s", got, plain)
	}
	var b strings.Builder
	l := slog.New(Handler(slog.NewTextHandler(&b, nil)))
	l.Info("m", "error", (*nilError)(nil)) // as fmt, it must not panic
	if !strings.Contains(b.String(), "PANIC") {
		t.Errorf("got %s", &b)
	}
	if Handler(slog.DiscardHandler).Enabled(context.Background(), slog.LevelError) {
		t.Error("enabled although the next handler is not")
	}
}
