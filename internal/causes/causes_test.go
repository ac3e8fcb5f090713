package causes_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"netwatchd/internal/causes"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/causes.md instead of comparing with it")

// docs/causes.md is made from the table, so that the manual cannot drift from it.
func TestManual(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Causes\n\nThis page lists the causes in order of precedence: a verdict " +
		"names the first one that holds.\nIt is generated from internal/causes (`go test ./internal/causes -update`).\n")
	for c := range causes.All() {
		a := c.About()
		fmt.Fprintf(&b, "\n## %s\n\n*%s.* %s %s", c, a.Title, a.Means, a.Advice)
		if a.Severity != causes.None {
			fmt.Fprintf(&b, " Severity: %s", a.Severity)
			if a.Hold > 0 {
				fmt.Fprintf(&b, ", announced after %s", strings.TrimSuffix(a.Hold.String(), "0s"))
			}
			b.WriteString(".")
		}
		if len(a.Hides) > 0 {
			var names []string
			for _, hidden := range a.Hides {
				names = append(names, "`"+hidden.String()+"`")
			}
			fmt.Fprintf(&b, " While it holds, it explains and hides: %s.", strings.Join(names, ", "))
		}
		b.WriteString("\n")
	}
	const manual = "../../docs/causes.md"
	if *update {
		if err := os.WriteFile(manual, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("%s differs: read the change as prose, then run go test -update (-want +got):\n%s", manual, diff)
	}
}

func TestEveryCauseIsDescribed(t *testing.T) {
	for c := range causes.All() {
		a := c.About()
		if a.Title == "" || strings.HasSuffix(a.Title, ".") ||
			!unicode.IsLower(rune(a.Title[0])) && !unicode.IsUpper(rune(a.Title[1])) {
			t.Errorf("%v: title %q should read on after \"codex: \"", c, a.Title)
		}
		for what, text := range map[string]string{"means": a.Means, "advice": a.Advice} {
			if !strings.HasSuffix(text, ".") {
				t.Errorf("%v: %s %q is not a sentence", c, what, text)
			}
		}
		if a.Severity == causes.None && a.Hold != 0 {
			t.Errorf("%v is never announced, but is held for %v", c, a.Hold)
		}
	}
}

func TestHiding(t *testing.T) {
	for c := range causes.All() {
		for _, hidden := range c.About().Hides {
			switch {
			case hidden == c || hidden != causes.Inconclusive && hidden < c:
				t.Errorf("%v hides %v, which comes before it", c, hidden)
			case c.Usable() || c == causes.Inconclusive:
				t.Errorf("%v only degrades, but hides %v", c, hidden)
			case hidden == causes.SandboxOpen && c != causes.SelfSandboxed:
				t.Errorf("%v hides an open sandbox", c)
			case slices.Contains(c.About().Hides, causes.Healthy):
				t.Errorf("%v hides health, which is no alarm", c)
			}
		}
	}
}

func TestSeverities(t *testing.T) {
	want := map[causes.Severity][]causes.Cause{
		causes.None: {causes.Starting, causes.Suspended, causes.Healthy},
		causes.Info: {causes.SelfSandboxed, causes.ResolverDegraded, causes.IPv6, causes.IPv4,
			causes.Degraded, causes.Inconclusive},
		causes.Ticket: {causes.LocalPolicy, causes.HostOffline, causes.Proxy, causes.Resolver,
			causes.Interception, causes.Clock, causes.Path, causes.EdgeBlocked, causes.UnexpectedAnswer, causes.Account, causes.Agent,
			causes.Sandbox, causes.SandboxOpen},
		causes.Page: {causes.Upstream, causes.Stream},
	}
	got := make(map[causes.Severity][]causes.Cause)
	for c := range causes.All() {
		got[c.About().Severity] = append(got[c.About().Severity], c)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOwners(t *testing.T) {
	want := map[causes.Owner][]causes.Cause{
		causes.OwnerNobody: {causes.Starting, causes.Suspended, causes.Degraded, causes.Healthy,
			causes.Inconclusive},
		causes.OwnerHost: {causes.SelfSandboxed, causes.LocalPolicy, causes.HostOffline, causes.Proxy,
			causes.Resolver, causes.Interception, causes.Clock, causes.Path, causes.ResolverDegraded, causes.IPv6,
			causes.IPv4},
		causes.OwnerService: {causes.EdgeBlocked, causes.Upstream, causes.UnexpectedAnswer, causes.Stream},
		causes.OwnerAgent:   {causes.Account, causes.Agent, causes.Sandbox, causes.SandboxOpen},
	}
	usable := []causes.Cause{causes.ResolverDegraded, causes.IPv6, causes.IPv4, causes.Degraded, causes.Healthy}
	got := make(map[causes.Owner][]causes.Cause)
	for c := range causes.All() {
		got[c.Owner()] = append(got[c.Owner()], c)
		if c.Usable() != slices.Contains(usable, c) {
			t.Errorf("%v: usable is %v", c, c.Usable())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}
