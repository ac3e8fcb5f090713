package redact

import (
	"context"
	"encoding"
	"fmt"
	"log/slog"
)

// Handler returns a handler that passes records on without secrets: every text among the attributes, every error,
// and the message.
//
// An error may repeat a URL with its key, or the response of a server that repeats the request. It is written in too
// many places to be cleaned in each of them.
func Handler(next slog.Handler) slog.Handler { return &handler{next} }

type handler struct{ next slog.Handler }

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, String(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(attribute(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = attribute(a)
	}
	return &handler{h.next.WithAttrs(clean)}
}

func (h *handler) WithGroup(name string) slog.Handler { return &handler{h.next.WithGroup(name)} }

func attribute(a slog.Attr) slog.Attr {
	return slog.Attr{Key: a.Key, Value: value(a.Key, a.Value.Resolve())}
}

func value(name string, v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(Named(name, v.String()))
	case slog.KindGroup:
		clean := make([]slog.Attr, 0, len(v.Group()))
		for _, a := range v.Group() {
			clean = append(clean, attribute(a))
		}
		return slog.GroupValue(clean...)
	case slog.KindAny:
		return anyValue(name, v)
	}
	return v
}

// anyValue keeps a value whose text has no secret: the next handler knows best how to write it.
func anyValue(name string, v slog.Value) slog.Value {
	var text string
	switch x := v.Any().(type) {
	case nil:
		return v
	case error:
		return slog.StringValue(Named(name, safeText(x.Error)))
	case fmt.Stringer:
		text = safeText(x.String)
	case encoding.TextMarshaler:
		text = safeText(func() string {
			b, err := x.MarshalText()
			if err != nil {
				return err.Error()
			}
			return string(b)
		})
	case []byte:
		text = string(x)
	default:
		text = fmt.Sprintf("%+v", x)
	}
	if clean := Named(name, text); clean != text {
		return slog.StringValue(clean)
	}
	return v
}

// safeText calls text. Like package fmt it survives a nil pointer in an interface.
func safeText(text func() string) (s string) {
	defer func() {
		if v := recover(); v != nil {
			s = fmt.Sprintf("!PANIC: %v", v)
		}
	}()
	return text()
}
