package forms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"netwatchd/internal/lab/parts"
)

// A user runs commands on the host of an internet.
type user struct {
	*internet
	codex string // the directories of the launchers that npm made
	env   []string
}

func (n *internet) user(f form, version string) *user {
	return &user{n, filepath.Dir(parts.Codex(n.t, version)), f.env}
}

// An exit is how a command ended.
type exit struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// commandLimit kills a command that hangs. A run of the agent has 90 seconds.
const commandLimit = 3 * time.Minute

func (u *user) path() string { return u.codex + ":/usr/sbin:/usr/bin:/sbin:/bin" }

func (u *user) command(argv ...string) *exec.Cmd {
	argv = u.host.Command(argv...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append([]string{"HOME=" + userHome, "PATH=" + u.path()}, u.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

func (u *user) run(argv ...string) exit {
	u.t.Helper()
	cmd := u.command(argv...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &stderr, time.Second
	start := time.Now()
	u.must(cmd.Start())
	late := time.AfterFunc(commandLimit, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	cmd.Wait()
	late.Stop()
	return exit{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(start)}
}

// netwatchd runs netwatchd without a configuration.
func (u *user) netwatchd(args ...string) exit {
	u.t.Helper()
	return u.run(append([]string{filepath.Join(parts.Dir(), "netwatchd")}, args...)...)
}

// agent runs codex as the user would, and returns the requests that it made.
func (u *user) agent() []request {
	u.t.Helper()
	u.requests()
	e := u.run("codex", "exec", "--json", "--skip-git-repo-check", "-s", "read-only", "Say OK")
	all := u.requests()
	if e.code != 0 || !strings.Contains(e.stdout, `"turn.completed"`) {
		u.t.Fatalf("the agent: exit code %d after requests to %v\n%s%s", e.code, urls(all), e.stdout, e.stderr)
	}
	return all
}

// A verdict is netwatchd's JSON, by the names of its contract.
type verdict struct {
	Service, Cause, Severity, Title string
	Also                            []struct{ Cause string }
	Evidence, Results               []result
}

type result struct{ Probe, Kind, Vantage, Class, Why, Target string }

// decisive is the class of the first evidence.
func (v verdict) decisive() string {
	if len(v.Evidence) == 0 {
		return ""
	}
	return v.Evidence[0].Class
}

// verdictOf reads the output of check --json, of backtest --json, and the status file.
func verdictOf(text []byte) (verdict, error) {
	var s struct {
		Services []verdict
		Verdict  verdict
	}
	switch err := json.Unmarshal(text, &s); {
	case err != nil:
		return verdict{}, err
	case s.Verdict.Cause != "":
		return s.Verdict, nil
	case len(s.Services) != 1:
		return verdict{}, fmt.Errorf("%d services, want one", len(s.Services))
	}
	return s.Services[0], nil
}

func (u *user) verdict(args ...string) (verdict, exit) {
	u.t.Helper()
	e := u.netwatchd(append(args, "--json")...)
	v, err := verdictOf([]byte(e.stdout))
	if err != nil {
		u.t.Fatalf("netwatchd %s: %v\nexit code %d\n%s%s", strings.Join(args, " "), err, e.code, e.stdout, e.stderr)
	}
	return v, e
}

// daemon starts the daemon, waits until it has reached a verdict, and returns that and what ends it.
func (u *user) daemon() (verdict, func()) {
	u.t.Helper()
	cmd := u.command(filepath.Join(parts.Dir(), "netwatchd"), "run")
	var said parts.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &said, &said, time.Second
	u.must(cmd.Start())
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	end := sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			u.t.Error("the daemon does not end")
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
	})
	u.t.Cleanup(end)
	var v verdict
	err := parts.Eventually(time.Minute, func() error {
		select {
		case <-ended:
			u.t.Fatalf("the daemon exited:\n%s", said.String())
		default:
		}
		text, err := os.ReadFile(u.host.Path("/run/netwatchd/status.json"))
		if err == nil {
			v, err = verdictOf(text)
		}
		if err == nil && v.Cause == "starting" {
			err = errors.New("no verdict yet")
		}
		return err
	})
	if err != nil {
		u.t.Errorf("the daemon: %v: %s (%s): %+v\n%s", err, v.Cause, v.Title, v.Evidence, said.String())
	}
	return v, end
}

// urls are the distinct URLs of requests.
func urls(all []request) []string {
	var found []string
	for _, r := range all {
		if !slices.Contains(found, r.URL) {
			found = append(found, r.URL)
		}
	}
	return found
}

// probes are the requests of netwatchd's own probe of the endpoint.
func probes(all []request) []request {
	return slices.DeleteFunc(slices.Clone(all), func(r request) bool { return r.Method != "HEAD" })
}

// turns are the requests of the agent's turns.
func turns(all []request) []request {
	isTurn := func(r request) bool {
		return r.Method == "POST" && (strings.HasSuffix(r.URL, "/responses") || strings.HasSuffix(r.URL, "/v1/messages"))
	}
	return slices.DeleteFunc(slices.Clone(all), func(r request) bool { return !isTurn(r) })
}

// hostsWith are the hosts that a secret was sent to.
func hostsWith(all []request, secret string) []string {
	var found []string
	for _, r := range all {
		_, rest, _ := strings.Cut(r.URL, "://")
		name, _, _ := strings.Cut(rest, "/")
		if strings.Contains(r.text, secret) && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found
}
