package incident

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// enter enters verdicts of codex, written "minutes:cause".
func enter(t *testing.T, b *Book, all string) (opened []*Incident) {
	t.Helper()
	for step := range strings.FieldsSeq(all) {
		at, word, _ := strings.Cut(step, ":")
		var minutes int
		var c causes.Cause
		if _, err := fmt.Sscan(at, &minutes); err != nil {
			t.Fatal(err)
		}
		if err := c.UnmarshalText([]byte(word)); err != nil {
			t.Fatal(err)
		}
		i, _ := b.Enter(diagnose.Verdict{Service: "codex", Cause: c, Severity: c.About().Severity, Title: word}, noon.Add(time.Duration(minutes)*time.Minute))
		if i != nil && (len(opened) == 0 || opened[len(opened)-1] != i) {
			opened = append(opened, i)
		}
	}
	return opened
}

// summary describes an incident on one line: its causes by minute, and what is unusual.
func summary(i *Incident) string {
	minute := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return fmt.Sprint(int(t.Sub(noon).Minutes()))
	}
	var words []string
	for _, s := range i.Causes {
		words = append(words, fmt.Sprintf("%v %s-%s", s.Cause, minute(&s.From), minute(s.To)))
	}
	line := strings.Join(words, ", ")
	if i.Recurrences > 0 {
		line += fmt.Sprintf("; returned %d", i.Recurrences)
	}
	if i.IsOpen() {
		line += "; open"
	}
	return line
}

func TestBook(t *testing.T) {
	tests := []struct {
		name, verdicts string
		want           []string
	}{
		{"nothing is wrong", "0:starting 1:healthy 2:degraded 3:ipv6 4:inconclusive", nil},
		{"a fault and its end", "0:healthy 1:resolver 2:resolver 3:healthy", []string{"resolver 1-3"}},
		{"the cause moves", "1:resolver 5:upstream 9:healthy", []string{"resolver 1-5, upstream 5-9"}},
		{"what works, but, is an end", "1:upstream 3:resolver_degraded", []string{"upstream 1-3"}},
		{"it lasts", "1:upstream 2:upstream", []string{"upstream 1-; open"}},
		{"a suspend splits nothing", "1:upstream 2:suspended 300:upstream 301:healthy", []string{"upstream 1-301"}},
		{"a restart splits nothing", "1:upstream 2:starting 3:upstream 4:healthy", []string{"upstream 1-4"}},
		{"doubt neither opens nor closes", "0:inconclusive 1:upstream 2:inconclusive 3:upstream 4:healthy", []string{"upstream 1-4"}},
		{"reopenWithin is one", "1:upstream 2:healthy 4:upstream 6:healthy 15:upstream 17:healthy",
			[]string{"upstream 1-2, upstream 4-6, upstream 15-17; returned 2"}},
		{"reopenWithin between causes is one", "1:resolver 2:healthy 4:upstream 6:healthy", []string{"resolver 1-2, upstream 4-6; returned 1"}},
		{"later it is another", "1:upstream 2:healthy 13:upstream", []string{"upstream 1-2", "upstream 13-; open"}},
		{"the clock is set back an hour", "100:upstream 40:resolver 41:healthy", []string{"upstream 100-100, resolver 40-41"}},
		{"and back after the end", "100:upstream 101:healthy 41:upstream", []string{"upstream 100-101", "upstream 41-; open"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, i := range enter(t, NewBook(), tt.verdicts) {
				got = append(got, summary(i))
				if i.Closed != nil && i.Closed.Before(i.Opened) {
					t.Errorf("closed %v before it was opened %v", i.Closed, i.Opened)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A probe that fails and works by turns is one incident, although the service is usable.
func TestFaultInPiecesIsAnIncident(t *testing.T) {
	b := NewBook()
	v := diagnose.Verdict{Service: "codex", Cause: causes.Degraded, Severity: causes.Info,
		Intermittent: []diagnose.Intermittent{{Probe: "head", Failed: 4, Of: 20}}}
	first, _ := b.Enter(v, noon)
	for minute := range time.Duration(30) {
		if again, _ := b.Enter(v, noon.Add(minute*time.Minute)); again != first || !again.IsOpen() {
			t.Fatalf("after %d minutes: %+v, want the first one open", minute, again)
		}
	}
	end := noon.Add(time.Hour)
	ended, changed := b.Enter(diagnose.Verdict{Service: "codex", Cause: causes.Degraded}, end) // answers are late
	if ended != first || !changed || first.IsOpen() || !first.Closed.Equal(end) || first.Severity != causes.Info {
		t.Errorf("at the end: %+v, want it closed then", first)
	}
}

// No order of verdicts may open two incidents of a service at once, or use an ID twice.
func TestBookAlways(t *testing.T) {
	words := []causes.Cause{causes.Starting, causes.Suspended, causes.Inconclusive, causes.Healthy, causes.Degraded,
		causes.Resolver, causes.Upstream}
	gaps := []time.Duration{time.Minute, time.Hour, -2 * time.Hour}
	const length = 4
	space := 1
	for range length {
		space *= len(words) * len(gaps)
	}
	for n := range space {
		b, at, ids := NewBook(), noon, make(map[string]*Incident)
		for rest := n; rest > 0; rest /= len(words) * len(gaps) {
			c := words[rest%len(words)]
			at = at.Add(gaps[rest/len(words)%len(gaps)])
			i, _ := b.Enter(diagnose.Verdict{Service: "codex", Cause: c}, at)
			if i == nil {
				continue
			}
			if known := ids[i.ID]; known != nil && known != i {
				t.Fatalf("case %d: %s is used twice", n, i.ID)
			}
			ids[i.ID] = i
			if c.Fault() != i.IsOpen() && c != causes.Inconclusive && !(c == causes.Starting || c == causes.Suspended) {
				t.Fatalf("case %d: %v leaves %s open: %v", n, c, i.ID, i.IsOpen())
			}
		}
		open := 0
		for _, i := range ids {
			if i.IsOpen() {
				open++
			}
		}
		if open > 1 || open != len(b.Open()) {
			t.Fatalf("case %d: %d incidents are open, the book says %d", n, open, len(b.Open()))
		}
	}
}

func TestManyCauses(t *testing.T) {
	b := NewBook()
	enter(t, b, "0:upstream")
	for n := range 500 {
		enter(t, b, fmt.Sprintf("%d:healthy %d:resolver", n, n))
	}
	i := b.Latest("codex")
	if len(i.Causes) != keepFirst+keepLast || i.Causes[0].Cause != causes.Upstream || i.Recurrences != 500 {
		t.Errorf("%d causes, the first %v, returned %d; want %d, upstream, 500", len(i.Causes), i.Causes[0].Cause, i.Recurrences, keepFirst+keepLast)
	}
}

func TestRestore(t *testing.T) {
	stored := func(verdicts string) *Incident {
		all := enter(t, NewBook(), verdicts)
		return all[len(all)-1].Clone()
	}
	tests := []struct {
		name, before, stored, after string
		want, id                    string
		changed                     int
	}{
		{"open before and still", "", "1:upstream", "5:starting 6:upstream", "upstream 1-; open", "20261123-codex-1", 0},
		{"over meanwhile", "", "1:upstream", "5:healthy", "upstream 1-5", "20261123-codex-1", 0},
		{"another cause meanwhile", "", "1:upstream", "5:resolver", "upstream 1-5, resolver 5-; open", "20261123-codex-1", 0},
		{"a new one on the same day", "", "1:upstream 2:healthy", "60:resolver", "resolver 60-; open", "20261123-codex-2", 0},
		{"opened before the store could be read", "5:upstream", "1:upstream", "6:healthy", "upstream 1-6", "20261123-codex-1", 1},
		{"moved before the store could be read", "5:resolver", "1:upstream", "6:healthy", "upstream 1-5, resolver 5-6", "20261123-codex-1", 1},
		{"opened long after what is stored", "60:upstream", "1:upstream 2:healthy", "61:healthy", "upstream 60-61", "20261123-codex-2", 1},
		{"the store was away and is back", "1:upstream 3:resolver", "1:upstream", "4:healthy", "upstream 1-3, resolver 3-4", "20261123-codex-1", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := NewBook()
			enter(t, b, tt.before)
			changed := b.Restore([]*Incident{stored(tt.stored)}, map[string]int{"20261123-codex": 1})
			enter(t, b, tt.after)
			got := b.Latest("codex")
			if summary(got) != tt.want || got.ID != tt.id || len(changed) != tt.changed {
				t.Errorf("got %s %q, %d changed; want %s %q, %d", got.ID, summary(got), len(changed), tt.id, tt.want, tt.changed)
			}
		})
	}
	b := NewBook()
	enter(t, b, "1:upstream")
	if changed := b.Restore(nil, nil); len(changed) != 1 || changed[0].ID != "20261123-codex-1" {
		t.Errorf("a store that was deleted: %v, want the open incident to be written again", changed)
	}
}

func TestCloseUnwatched(t *testing.T) {
	b := NewBook()
	enter(t, b, "1:upstream")
	ended := b.CloseUnwatched(func(service string) bool { return service != "codex" }, noon.Add(time.Hour))
	if len(ended) != 1 || ended[0].IsOpen() || ended[0].Ended == "" {
		t.Errorf("ended %v, want codex's incident", ended)
	}
	if i := enter(t, b, "61:upstream"); i[0].Number != 2 {
		t.Errorf("watched again: %s, want a new incident", i[0].ID)
	}
}

func TestJSON(t *testing.T) {
	i := enter(t, NewBook(), "1:resolver 2:upstream")[0]
	text, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"20261123-codex-1","service":"codex","causes":[` +
		`{"cause":"resolver","from":"2026-11-23T12:01:00Z","to":"2026-11-23T12:02:00Z"},{"cause":"upstream","from":"2026-11-23T12:02:00Z","to":null}],` +
		`"opened":"2026-11-23T12:01:00Z","closed":null,"notes":[],"severity":"page","title":"upstream","returns":0,"moves":1}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseID(t *testing.T) {
	for id, want := range map[string]string{
		"20261123-codex-1": "codex", "20261123-my-shop.eu-12": "my-shop.eu", "": "", "20261123": "", "20261123-codex": "",
		"20261123-codex-x": "", "2026-codex-1": "", "20261123-codex-01": "",
	} {
		if _, service, _, ok := ParseID(id); service != want || ok != (want != "") {
			t.Errorf("ParseID(%q): %q, %v; want %q", id, service, ok, want)
		}
	}
}
