package sandbox

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

// The daemon's rounds are more frequent than its twins: the verdict stays, and moves when the sandbox does.
func TestDaemon(t *testing.T) {
	for _, version := range parts.CodexVersions {
		t.Run(version, func(t *testing.T) {
			s := play(t, version)
			d := s.Daemon(s.watching("sandbox: {want: open, interval: 1m}"), "--storage.path="+s.dir+"/storage")
			d.AwaitReady()
			d.Await(patience, func() error { return standsAt(s, "sandbox") })
			rounds := `netwatchd_probe_runs_total{kind="http",probe="head",result="success",service="codex",vantage="host"}`
			before := metric(t, rounds)
			d.Await(patience, func() error { return atLeast(t, rounds, before+4) })
			changes := `netwatchd_verdict_changes_total{cause="%s",service="codex"}`
			if n := metric(t, fmt.Sprintf(changes, "sandbox")); n != 1 {
				t.Errorf("moved to sandbox %v times, want once\n%s", n, d.Said())
			}

			s.configure(opened)
			d.Signal(syscall.SIGHUP) // the next round has a twin then
			// It does not last: the agent's run that confirms the recovery finds that nobody is signed in.
			d.Await(patience, func() error { return atLeast(t, fmt.Sprintf(changes, "healthy"), 1) })
		})
	}
}

// What is expected of the sandbox follows the user's config.toml at once: a sandbox that its user opens or closes is
// never a fault.
func TestDaemonFollowsTheUser(t *testing.T) {
	s := play(t, parts.CodexVersions[len(parts.CodexVersions)-1])
	s.configure("")
	d := s.Daemon(s.watching("sandbox: {interval: 6s, timeout: 5s}"), "--storage.path="+s.dir+"/storage")
	d.AwaitReady()
	runs := func(result string) string {
		return `netwatchd_probe_runs_total{kind="http",probe="head",result="` + result + `",service="codex",vantage="sandbox"}`
	}
	for _, step := range []struct{ toml, result string }{{opened, "success"}, {"", "failure"}} {
		before := metric(t, runs(step.result))
		s.configure(step.toml)
		// A surprising result starts a confirming round, whose second one makes a verdict.
		d.Await(patience, func() error { return atLeast(t, runs(step.result), before+2) })
	}
	for _, cause := range []string{"sandbox", "sandbox_open"} {
		if n := metric(t, fmt.Sprintf(`netwatchd_verdict_changes_total{cause=%q,service="codex"}`, cause)); n != 0 {
			t.Errorf("moved to %s %v times, want never\n%s", cause, n, d.Said())
		}
	}
}

func atLeast(t *testing.T, series string, want float64) error {
	if got := metric(t, series); got < want {
		return fmt.Errorf("%s is %v, want at least %v", series, got, want)
	}
	return nil
}

// metric is the value of a series; 0 if it is not there.
func metric(t *testing.T, series string) float64 {
	t.Helper()
	client := http.Client{Timeout: 2 * time.Second}
	response, err := client.Get(stack.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, is := strings.CutPrefix(lines.Text(), series+" "); is {
			var n float64
			fmt.Sscan(value, &n)
			return n
		}
	}
	return 0
}
