package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	opened   = "[sandbox_workspace_write]\nnetwork_access = true\n"
	inModes  = "sandbox_mode = 'workspace-write'\n"
	wantOpen = "sandbox: {want: open}"
	closed   = "sandbox: {want: closed}"
)

// The sandbox of the codex that is installed, as its user has configured it.
func TestTwinInCodex(t *testing.T) {
	tests := []struct {
		name, toml, sandbox string
		cause, class        string // of head in there
		exit                int
	}{
		{"closed, wanted closed", "", closed, "healthy", "local.denied", 0},
		{"closed, nobody minds", inModes, "sandbox: {want: any}", "healthy", "local.denied", 0},
		{"closed, wanted open", inModes, wantOpen, "sandbox", "local.denied", 1},
		{"open, wanted closed", inModes + opened, closed, "sandbox_open", "ok", 1},
		{"open, wanted open", inModes + opened, wantOpen, "healthy", "ok", 0},
		{"no sandbox at all", "sandbox_mode = 'danger-full-access'\n", closed, "sandbox_open", "ok", 1},
		{"network_access, but read-only", "sandbox_mode = 'read-only'\n" + opened, wantOpen, "sandbox", "local.denied", 1},
	}
	for _, version := range versions {
		for _, tt := range tests {
			t.Run(slug(version, tt.name), func(t *testing.T) {
				s := play(t, version)
				s.configure(tt.toml)
				e := s.netwatchd("check", s.watching(tt.sandbox), "--json")
				got := e.status(t).Services[0]
				head, _ := got.inside("head")
				if got.Cause != tt.cause || head.Class != tt.class || e.Code != tt.exit || e.Took > patience {
					t.Errorf("%s (%s), head inside %s, exit code %d after %v; want %s, %s, %d\n%s",
						got.Cause, got.Title, head.Class, e.Code, e.Took, tt.cause, tt.class, tt.exit, e.Stdout)
				}
				look, ok := got.inside("sandbox")
				if denied := tt.class == "local.denied"; !ok || denied != slices.Contains(look.Signals, "socket_inet_eperm") {
					t.Errorf("the look inside: got %+v", look)
				}
			})
		}
	}
}

// Any other wrapper.
func TestTwinInOthers(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, command, want, cause, class string }{
		{"bubblewrap without network", "[bwrap, --dev-bind, /, /, --unshare-net, --]", "open", "sandbox", "local.no_route"},
		{"bubblewrap without network", "[bwrap, --dev-bind, /, /, --unshare-net, --]", "closed", "healthy", "local.no_route"},
		{"bubblewrap with network", "[bwrap, --dev-bind, /, /, --]", "closed", "sandbox_open", "ok"},
		{"EPERM", "[" + self + ", filtered, eperm]", "open", "sandbox", "local.denied"},
		{"EPERM", "[" + self + ", filtered, eperm]", "closed", "healthy", "local.denied"},
		{"EACCES", "[" + self + ", filtered, eacces]", "open", "sandbox", "local.denied"},
		{"EACCES", "[" + self + ", filtered, eacces]", "closed", "healthy", "local.denied"},
		{"none", "[env]", "closed", "sandbox_open", "ok"},
		{"none", "[env]", "open", "healthy", "ok"},
		{"no such wrapper", "[/nowhere/wrap, --]", "closed", "agent", "exec.not_found"},
		{"a wrapper that refuses", "[sh, -c, 'echo bwrap: setting up uid map: Permission denied >&2; exit 1']", "closed", "agent", "exec.start_failed"},
		{"a wrapper that says nothing", "['true']", "open", "agent", "exec.unexpected_output"},
		{"a wrapper that hangs", "[sh, -c, 'sleep 100']", "closed", "agent", "exec.timed_out"},
	} {
		t.Run(slug(tt.name, tt.want), func(t *testing.T) {
			s := play(t, "")
			if strings.HasPrefix(tt.command, "[bwrap") {
				if _, err := exec.LookPath("bwrap"); err != nil {
					t.Skip("needs bwrap: apt-get install bubblewrap")
				}
			}
			path := s.Config("    sandbox: {command: " + tt.command + ", want: " + tt.want + ", timeout: 2s}")
			got := s.netwatchd("check", "--config.file="+path, "--json").status(t).Services[0]
			head, _ := got.inside("head")
			if got.Cause != tt.cause || head.Class != tt.class {
				t.Errorf("%s (%s), head inside %s (%s); want %s, %s", got.Cause, got.Title, head.Class, head.Why, tt.cause, tt.class)
			}
		})
	}
}

// The service is down: what is closed in the sandbox does not change whose fault that is.
func TestTwinWhileTheServiceIsDown(t *testing.T) {
	for _, version := range versions {
		for want, sandbox := range map[string]string{"closed": closed, "open": wantOpen} {
			t.Run(slug(version, want), func(t *testing.T) {
				s := play(t, version)
				s.CloseService()
				got := s.netwatchd("check", s.watching(sandbox), "--json").status(t).Services[0]
				if got.Cause != "upstream" {
					t.Errorf("%s (%s), want upstream", got.Cause, got.Title)
				}
			})
		}
	}
}

// A broken installation is the agent's fault, in the agent's own words.
func TestTwinOfABrokenCodex(t *testing.T) {
	t.Run("missing", func(t *testing.T) {
		got := play(t, "").netwatchdOn(t, closed)
		if got.Cause != "agent" {
			t.Errorf("%s (%s), want agent", got.Cause, got.Title)
		}
	})
	for _, version := range versions {
		t.Run(slug(version, "config"), func(t *testing.T) {
			s := play(t, version)
			s.configure("x = [")
			got := s.netwatchdOn(t, closed)
			head, _ := got.inside("head")
			if got.Cause != "agent" || head.Class != "exec.start_failed" || !strings.Contains(head.Why, "unclosed array") {
				t.Errorf("%s (%s), head inside %s: %s", got.Cause, got.Title, head.Class, head.Why)
			}
		})
	}
}

func (s *scene) netwatchdOn(t *testing.T, sandbox string) verdict {
	t.Helper()
	return s.netwatchd("check", s.watching(sandbox), "--json").status(t).Services[0]
}

// An ordinary user, with a sandbox that takes no privileges.
func TestTwinOfAnOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: to become another user")
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			s := play(t, version)
			s.configure("")
			s.become(65534)
			s.needsSandbox(version)
			for sandbox, want := range map[string]string{closed: "healthy", wantOpen: "sandbox"} {
				if got := s.netwatchdOn(t, sandbox); got.Cause != want {
					head, _ := got.inside("head")
					t.Errorf("%s: %s (%s; head inside %s %s), want %s", sandbox, got.Cause, got.Title, head.Class, head.Why, want)
				}
			}
		})
	}
}

// become has everything that follows run as another user, who owns the scene's files.
func (s *scene) become(uid uint32) {
	s.t.Helper()
	program, err := os.ReadFile(s.program)
	if err != nil {
		s.t.Fatal(err)
	}
	s.program = filepath.Join(s.dir, "netwatchd")
	if err := os.WriteFile(s.program, program, 0o755); err != nil {
		s.t.Fatal(err)
	}
	for _, dir := range []string{s.dir, s.Dir, filepath.Dir(s.Dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(s.Dir, "ca.pem"), 0o644); err != nil {
		s.t.Fatal(err)
	}
	err = filepath.WalkDir(s.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(uid), int(uid))
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.as = uid
}
