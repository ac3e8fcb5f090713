package diagnose_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"netwatchd/internal/diagnose"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go test -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs: read the change as prose, then run go test -update (-want +got):\n%s", path, diff)
	}
}

// docs/causes.md is made from the table, so that the manual cannot drift from it.
func TestManual(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Causes\n\nThis page lists the causes in order of precedence: a verdict " +
		"names the first one that holds.\nIt is generated from internal/diagnose (`go test ./internal/diagnose -update`).\n")
	for c := range diagnose.Causes() {
		a := c.About()
		fmt.Fprintf(&b, "\n## %s\n\n*%s.* %s %s", c, a.Title, a.Means, a.Advice)
		if a.Severity != diagnose.None {
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
	golden(t, "../../docs/causes.md", b.String())
}

func TestEveryCauseIsDescribed(t *testing.T) {
	for c := range diagnose.Causes() {
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
		if a.Severity == diagnose.None && a.Hold != 0 {
			t.Errorf("%v is never announced, but is held for %v", c, a.Hold)
		}
	}
}

func TestHiding(t *testing.T) {
	for c := range diagnose.Causes() {
		for _, hidden := range c.About().Hides {
			switch {
			case hidden == c || hidden != diagnose.Inconclusive && hidden < c:
				t.Errorf("%v hides %v, which comes before it", c, hidden)
			case c.Usable() || c == diagnose.Inconclusive:
				t.Errorf("%v only degrades, but hides %v", c, hidden)
			case hidden == diagnose.SandboxOpen && c != diagnose.SelfSandboxed:
				t.Errorf("%v hides an open sandbox", c)
			case slices.Contains(c.About().Hides, diagnose.Healthy):
				t.Errorf("%v hides health, which is no alarm", c)
			}
		}
	}
}

func TestSeverities(t *testing.T) {
	want := map[diagnose.Severity][]diagnose.Cause{
		diagnose.None: {diagnose.Starting, diagnose.Suspended, diagnose.Healthy},
		diagnose.Info: {diagnose.SelfSandboxed, diagnose.ResolverDegraded, diagnose.IPv6, diagnose.IPv4,
			diagnose.Degraded, diagnose.Inconclusive},
		diagnose.Ticket: {diagnose.LocalPolicy, diagnose.HostOffline, diagnose.Proxy, diagnose.Resolver,
			diagnose.Interception, diagnose.Clock, diagnose.EdgeBlocked, diagnose.UnexpectedAnswer, diagnose.Account, diagnose.Agent,
			diagnose.Sandbox, diagnose.SandboxOpen},
		diagnose.Page: {diagnose.Upstream, diagnose.Stream},
	}
	got := make(map[diagnose.Severity][]diagnose.Cause)
	for c := range diagnose.Causes() {
		got[c.About().Severity] = append(got[c.About().Severity], c)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOwners(t *testing.T) {
	want := map[diagnose.Owner][]diagnose.Cause{
		diagnose.OwnerNobody: {diagnose.Starting, diagnose.Suspended, diagnose.Degraded, diagnose.Healthy,
			diagnose.Inconclusive},
		diagnose.OwnerHost: {diagnose.SelfSandboxed, diagnose.LocalPolicy, diagnose.HostOffline, diagnose.Proxy,
			diagnose.Resolver, diagnose.Interception, diagnose.Clock, diagnose.ResolverDegraded, diagnose.IPv6,
			diagnose.IPv4},
		diagnose.OwnerService: {diagnose.EdgeBlocked, diagnose.Upstream, diagnose.UnexpectedAnswer, diagnose.Stream},
		diagnose.OwnerAgent:   {diagnose.Account, diagnose.Agent, diagnose.Sandbox, diagnose.SandboxOpen},
	}
	usable := []diagnose.Cause{diagnose.ResolverDegraded, diagnose.IPv6, diagnose.IPv4, diagnose.Degraded, diagnose.Healthy}
	got := make(map[diagnose.Owner][]diagnose.Cause)
	for c := range diagnose.Causes() {
		got[c.Owner()] = append(got[c.Owner()], c)
		if c.Usable() != slices.Contains(usable, c) {
			t.Errorf("%v: usable is %v", c, c.Usable())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}
