package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
)

const (
	opened   = "sandbox_mode = 'workspace-write'\n[sandbox_workspace_write]\nnetwork_access = true\n"
	wantOpen = "sandbox: {want: open}"
	closed   = "sandbox: {want: closed}"
)

// A broken installation is reported with the agent's own message.
func TestTwinOfABrokenCodex(t *testing.T) {
	for _, version := range parts.CodexVersions {
		t.Run(version, func(t *testing.T) {
			s := play(t, version)
			s.configure("x = [")
			got := s.netwatchdOn(t, closed)
			if head, _ := got.inside("head"); got.Cause != "agent" || !strings.Contains(head.Why, "unclosed array") {
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
	for _, version := range parts.CodexVersions {
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

// become runs everything that follows as another user, who owns the scene's files.
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
