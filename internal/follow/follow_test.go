package follow

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/plan"
	"netwatchd/internal/watch"
)

// A user has a codex whose sandbox command leaves a file, started.
type user struct {
	t       *testing.T
	home    string
	started string
	adopted []diagnose.Want // what each adopted plan expects of the sandbox
	refuses error           // the end of Adopt
}

func newUser(t *testing.T) *user {
	t.Helper()
	dir := t.TempDir()
	u := &user{t: t, home: filepath.Join(dir, "home"), started: filepath.Join(dir, "started")}
	t.Setenv("HOME", u.home)
	t.Setenv("CODEX_HOME", u.home)
	t.Setenv("PATH", filepath.Join(dir, "bin")+":/usr/bin:/bin")
	u.write(filepath.Join(dir, "bin/codex"),
		"#!/bin/sh\nif [ \"$1\" = --version ]; then echo codex-cli 0.169.0; else touch "+u.started+"; fi\n")
	u.configure("")
	return u
}

func (u *user) write(path, text string) {
	u.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		u.t.Fatal(err)
	}
}

// configure writes codex's config.toml.
func (u *user) configure(toml string) {
	u.t.Helper()
	u.write(filepath.Join(u.home, "config.toml"), toml)
}

const opened = "sandbox_mode = 'workspace-write'\n[sandbox_workspace_write]\nnetwork_access = true\n"

func (u *user) load() *config.Config {
	u.t.Helper()
	path := filepath.Join(u.t.TempDir(), "config.yaml")
	u.write(path, "services: [{name: codex, probes: [{name: dns, kind: dns, target: localhost}, "+
		"{name: exec, kind: exec, preset: codex}], sandbox: {}}]\n")
	c, err := config.Load(path, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	return c
}

func (u *user) follower() *Follower {
	u.t.Helper()
	adopt := func(_ context.Context, next *plan.Plan, watched watch.Plan) error {
		if _, err := os.Stat(u.started); err == nil {
			u.t.Error("the sandbox was started before the plan that expects what it shows")
		}
		if watched.Services[0].Expect.Sandbox != next.Services[0].Expect.Sandbox {
			u.t.Error("the watcher gets another plan")
		}
		if u.refuses == nil {
			u.adopted = append(u.adopted, watched.Services[0].Expect.Sandbox)
		}
		return u.refuses
	}
	return New(u.load(), Options{Adopt: adopt, Log: slog.New(slog.DiscardHandler)})
}

// A sandbox probe is compared with what the agent's files allow when the sandbox is started.
func TestSandboxProbeLooksFirst(t *testing.T) {
	u := newUser(t)
	f := u.follower()
	run := func() {
		t.Helper()
		os.Remove(u.started)
		f.Watched().Services[0].SandboxProbes.Run(t.Context(), 0)
		if _, err := os.Stat(u.started); err != nil {
			t.Fatalf("the sandbox was not started: %v", err)
		}
	}
	run()
	if len(u.adopted) > 0 {
		t.Errorf("nothing changed, and %v were adopted", u.adopted)
	}
	u.configure(opened)
	run()
	run()
	if len(u.adopted) != 1 || u.adopted[0] != diagnose.WantOpen {
		t.Errorf("opened: adopted %v, want one plan with an open sandbox", u.adopted)
	}
	u.configure("")
	run()
	if len(u.adopted) != 2 || u.adopted[1] != diagnose.WantClosed {
		t.Errorf("closed: adopted %v, want a second plan with a closed sandbox", u.adopted)
	}
}

// A plan that was not adopted is not in force, and is tried again.
func TestPlanThatIsNotAdopted(t *testing.T) {
	u := newUser(t)
	f := u.follower()
	before := f.Plan()
	u.refuses = errors.New("the watcher is stopping")
	u.configure(opened)
	f.look(t.Context())
	if f.Plan() != before {
		t.Error("the plan changed")
	}
	u.refuses = nil
	f.look(t.Context())
	if len(u.adopted) != 1 || f.Plan() == before {
		t.Errorf("adopted %v", u.adopted)
	}
}

func TestReload(t *testing.T) {
	u := newUser(t)
	f := u.follower()
	before := f.Plan()
	for name, load := range map[string]func() (*config.Config, error){
		"malformed": func() (*config.Config, error) { return nil, errors.New("malformed") },
		"status_file changed: restart netwatchd to apply it": func() (*config.Config, error) {
			c := u.load()
			c.StatusFile = "/elsewhere"
			return c, nil
		},
		"panic": func() (*config.Config, error) { panic("in a parser") },
	} {
		if _, err := f.Reload(t.Context(), load); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
		if f.Plan() != before || len(u.adopted) > 0 {
			t.Errorf("%s: it changed the plan", name)
		}
	}
	next := u.load()
	next.Services[0].Name = "renamed"
	got, err := f.Reload(t.Context(), func() (*config.Config, error) { return next, nil })
	if err != nil || got != next || f.Watched().Services[0].Name != "renamed" {
		t.Errorf("got %v, watched is %q", err, f.Watched().Services[0].Name)
	}
}
