package blackbox

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/lab/stack"
)

// The commands find the daemon's incidents although only the daemon was told where its store is, as with `make run`:
// from its API; without it, from the store that its status file names.
func TestCommandsFindTheDaemon(t *testing.T) {
	s := stack.Start(t)
	config, storage := "--config.file="+s.Config(), filepath.Join(s.Dir, "elsewhere")
	statusFile := filepath.Join(s.Dir, "status.json")
	d := s.Daemon(config, "--storage.path="+storage)
	d.AwaitReady()
	if !strings.Contains(d.Said(), stack.URL+"/") {
		t.Errorf("the log does not name the page:\n%s", d.Said())
	}
	awaitCause(t, d, "healthy")
	s.ServiceAnswers(503)
	awaitCause(t, d, "upstream")
	d.Await(patience, func() error {
		_, err := os.Stat(filepath.Join(storage, "netwatchd.db"))
		return err
	})
	find := func(t *testing.T, more ...string) {
		t.Helper()
		backup := filepath.Join(t.TempDir(), "backup.db")
		for command, want := range map[string]string{
			"incidents":                                  "-codex-1",
			"incidents --service codex":                  "-codex-1",
			"explain latest":                             "http.server_error",
			"incidents note latest seen":                 "note added to ",
			"store check":                                filepath.Join(storage, "netwatchd.db") + ": no errors",
			"store backup " + backup:                     "store of " + storage + " copied to " + backup,
			"explain latest --bundle " + backup + ".tgz": " written to " + backup + ".tgz",
		} {
			exit := s.Run(append(append(strings.Fields(command), config), more...)...)
			if exit.Code != 0 || exit.Stderr != "" || !strings.Contains(exit.Stdout, want) {
				t.Errorf("%s %q: exit code %d, want %q\n%s%s", command, more, exit.Code, want, exit.Stdout, exit.Stderr)
			}
		}
	}
	fails := func(t *testing.T, code int, args []string, want ...string) {
		t.Helper()
		exit := s.Run(append(args, config)...)
		if exit.Code != code {
			t.Errorf("%v: exit code %d, want %d\n%s", args, exit.Code, code, exit.Stdout)
		}
		for _, word := range want {
			if !strings.Contains(exit.Stderr, word) {
				t.Errorf("%v: no %q in\n%s", args, word, exit.Stderr)
			}
		}
	}
	nobody := "--web.listen-address=127.0.0.1:1"
	t.Run("from the API", func(t *testing.T) {
		find(t, "--status.file="+filepath.Join(s.Dir, "absent.json"))
	})
	t.Run("from its store", func(t *testing.T) {
		find(t, nobody)
	})
	t.Run("no such service", func(t *testing.T) {
		fails(t, 3, []string{"incidents", "--service=cdex"}, `did you mean "codex"?`)
		fails(t, 3, []string{"incidents", "--service=cdex", nobody}, `did you mean "codex"?`)
	})
	t.Run("no such incident", func(t *testing.T) {
		fails(t, 1, []string{"explain", "20261123-codex-9"}, `"20261123-codex-9": no such incident`)
		fails(t, 1, []string{"explain", "20261123-codex-9", nobody}, `"20261123-codex-9": no such incident`)
	})
	t.Run("another daemon", func(t *testing.T) {
		fails(t, 1, []string{"incidents", "--url=http://127.0.0.1:1"},
			"no daemon responds at http://127.0.0.1:1: connection refused")
	})
	t.Run("killed", func(t *testing.T) {
		d.Kill()
		find(t)
	})
	t.Run("neither", func(t *testing.T) {
		if err := os.Remove(statusFile); err != nil {
			t.Fatal(err)
		}
		for _, args := range []string{"incidents", "explain latest", "incidents note latest seen", "store check"} {
			fails(t, 1, strings.Fields(args), "no daemon responds at "+stack.URL+": connection refused",
				"there is no store in "+filepath.Join(s.Dir, "storage"), "start the daemon with 'netwatchd run'")
		}
	})
}

// If the daemon requires a password, its store is read instead; a daemon named by its URL has none here.
func TestCommandsWithoutThePassword(t *testing.T) {
	s := stack.Start(t)
	web := filepath.Join(s.Dir, "web.yml")
	users := "basic_auth_users: {scraper: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}\n"
	if err := os.WriteFile(web, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	config := "--config.file=" + s.Config()
	d := s.Daemon(config, "--web.config.file="+web, "--storage.path="+filepath.Join(s.Dir, "elsewhere"))
	d.Await(patience, func() error {
		_, err := os.Stat(filepath.Join(s.Dir, "status.json"))
		return err
	})
	d.Await(patience, func() error {
		_, err := os.Stat(filepath.Join(s.Dir, "elsewhere", "netwatchd.db"))
		return err
	})
	if exit := s.Run("incidents", config); exit.Code != 0 {
		t.Errorf("from the store: exit code %d\n%s", exit.Code, exit.Stderr)
	}
	exit := s.Run("incidents", config, "--url="+stack.URL)
	if exit.Code != 1 || !strings.Contains(exit.Stderr, "it requires a user and a password") {
		t.Errorf("without a password: exit code %d\n%s", exit.Code, exit.Stderr)
	}
	d.Signal(syscall.SIGTERM)
	d.Exit(5 * time.Second)
}
