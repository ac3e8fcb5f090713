package push

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// The wire formats as readable text.

func itoa(n int64) string   { return strconv.FormatInt(n, 10) }
func ftoa(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// seriesText formats alternating names and values as PromQL does.
func seriesText(labels []string) string {
	var all []string
	for i := 2; i < len(labels); i += 2 {
		all = append(all, fmt.Sprintf("%s=%q", labels[i], labels[i+1]))
	}
	return labels[1] + "{" + strings.Join(all, ",") + "}"
}

func trimmed(all map[string]string) map[string]string {
	for key, text := range all {
		all[key] = strings.TrimSpace(text)
	}
	return all
}

// each calls do for each length-delimited field of a message.
func each(t *testing.T, message []byte, do func(protowire.Number, []byte)) {
	t.Helper()
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 || kind != protowire.BytesType {
			t.Fatalf("field %d of kind %d at %q", field, kind, message)
		}
		part, m := protowire.ConsumeBytes(message[n:])
		if m < 0 {
			t.Fatalf("field %d is cut short", field)
		}
		do(field, part)
		message = message[n+m:]
	}
}

// sinceOf is the created timestamp among the unknown fields.
func sinceOf(t *testing.T, unknown []byte, field protowire.Number) uint64 {
	t.Helper()
	if len(unknown) == 0 {
		return 0
	}
	number, _, n := protowire.ConsumeTag(unknown)
	at, m := protowire.ConsumeVarint(unknown[n:])
	if number != field || n+m != len(unknown) {
		t.Fatalf("unknown fields %x", unknown)
	}
	return at
}
