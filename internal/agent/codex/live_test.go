package codex

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/agent"
	"netwatchd/internal/codexconf"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/probe/probetest"
)

// The versions whose behaviour is known: the one of the incident that started this project, and the newest.
var liveVersions = []string{"0.104.0", "0.169.0"}

// eachCodex runs a test with every installed codex, in parallel.
func eachCodex(t *testing.T, test func(t *testing.T, path string)) {
	t.Helper()
	t.Parallel()
	for _, version := range liveVersions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, installedCodex(t, version))
		})
	}
}

// installedCodex finds npm's launcher of that version: in the directories of NETWATCHD_TEST_CODEX_DIRS, which are
// named by version, or where `make codex` installs it.
func installedCodex(t *testing.T, version string) string {
	t.Helper()
	dirs := filepath.SplitList(os.Getenv("NETWATCHD_TEST_CODEX_DIRS"))
	for _, dir := range append(dirs, filepath.Join("..", "..", "..", ".cache", "codex", version)) {
		if filepath.Base(dir) != version {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, "node_modules", ".bin", "codex")); err == nil {
			return path
		}
	}
	t.Skipf("needs codex %s: make codex", version)
	return ""
}

// programOf is the program behind a launcher, and its version.
func programOf(t *testing.T, launcher string) (path string, version agent.Version) {
	t.Helper()
	path, err := Find(launcher)
	if err != nil {
		t.Fatal(err)
	}
	if version, err = Version(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return path, version
}

// stateDir is a directory outside $TMPDIR, where codex's sandbox refuses to have its CODEX_HOME.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "netwatchd-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func serve(t *testing.T, b responses.Behaviour) *responses.Server {
	t.Helper()
	s := responses.Start()
	t.Cleanup(s.Close)
	s.Behave(b)
	return s
}

// withKey returns a run with an API key and no sign-in.
func withKey(t *testing.T, path, baseURL string) Codex {
	t.Helper()
	state := stateDir(t)
	return Codex{Path: path, Home: filepath.Join(state, "nobody"), StateDir: state, BaseURL: baseURL,
		Env: []string{"CODEX_API_KEY=sk-test"}}
}

func TestCodexLive(t *testing.T) {
	const plenty = 30 * time.Second
	tests := map[responses.Behaviour]struct {
		class   probe.Class
		timeout time.Duration
		why     string
	}{
		responses.OK:           {probe.OK, plenty, ""},
		responses.Other:        {probe.ExecUnexpectedOutput, plenty, "I cannot do that"},
		responses.Empty:        {probe.ExecUnexpectedOutput, plenty, "without an answer"},
		responses.Unauthorized: {probe.ExecUnauthorized, plenty, "401"},
		responses.Challenge:    {probe.HTTPEdgeBlocked, plenty, "Just a moment"},
		responses.UsageLimit:   {probe.ExecUsageLimit, plenty, "You've hit your usage limit"},
		responses.RateLimit:    {probe.ExecRateLimited, plenty, "429"},
		responses.ServerError:  {probe.ExecOverloaded, plenty, "high demand"},
		responses.BadGateway:   {probe.ExecOverloaded, plenty, "502"},
		responses.Unavailable:  {probe.ExecOverloaded, plenty, "503"},
		responses.Cut:          {probe.ExecStreamCut, plenty, "closed before response.completed"},
		responses.Abort:        {probe.ExecStreamCut, plenty, "stream disconnected"},
		responses.Stall:        {probe.ExecStreamCut, plenty, "idle timeout"}, // our 15 s
		responses.StallHeaders: {probe.ExecTimedOut, plenty / 2, "no answer before the deadline"},
		responses.Garbage:      {probe.ExecStreamCut, plenty, "closed before response.completed"},
		responses.Page:         {probe.ExecStreamCut, plenty, "closed before response.completed"},
		responses.ModelRefused: {probe.ExecModelRejected, plenty, "model is not supported"},
		responses.NotFound:     {probe.HTTPUnexpectedStatus, plenty, "404"},

		responses.Geo:             {probe.HTTPEdgeBlocked, plenty, "territory not supported"},
		responses.TooLarge:        {probe.HTTPUnexpectedStatus, plenty, "413"},
		responses.UpgradeRequired: {probe.HTTPUnexpectedStatus, plenty, "426"},
		responses.Legal:           {probe.HTTPEdgeBlocked, plenty, "451"},
		responses.BadRequest:      {probe.HTTPUnexpectedStatus, plenty, "the value is not allowed"},
		responses.SignInMissing:   {probe.ExecSignInMissing, plenty, "did not make it to this service"},
	}
	if len(tests) != int(responses.BehaviourCount) {
		t.Errorf("%d of %d behaviours are tried", len(tests), responses.BehaviourCount)
	}
	// Most of them wait. One after the other they would take too long, all together they would slow the machine down.
	atOnce := make(chan struct{}, 6)
	eachCodex(t, func(t *testing.T, path string) {
		servers, results := make(map[responses.Behaviour]*responses.Server), make([]probe.Result, responses.BehaviourCount)
		var runs sync.WaitGroup
		for behaviour, test := range tests {
			s := serve(t, behaviour)
			servers[behaviour] = s
			c := withKey(t, path, s.BaseURL())
			runs.Go(func() {
				atOnce <- struct{}{}
				defer func() { <-atOnce }()
				results[behaviour], _ = probe.Do(t.Context(), &probe.Probe{Spec: probe.Spec{Timeout: test.timeout}, Prober: c})
			})
		}
		runs.Wait()
		for behaviour, test := range tests {
			r := results[behaviour]
			if r.Class != test.class || !strings.Contains(r.Why, test.why) {
				t.Errorf("%v: got %v %q, want %v with %q", behaviour, r.Class, r.Why, test.class, test.why)
			}
			if n := len(servers[behaviour].Turns()); n == 0 {
				t.Errorf("%v: the service was not asked", behaviour)
			} else if n > 1 && !slices.Contains(r.Warnings, warnBuiltinProvider) {
				t.Errorf("%v: one run asked %d times", behaviour, n)
			}
			for _, warning := range r.Warnings {
				if !slices.Contains(codexWarningNames(), warning) {
					t.Errorf("%v: warning %q is not on the list", behaviour, warning)
				}
			}
		}
	})
}

func TestCodexLiveSuccess(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		s := serve(t, responses.OK)
		r := probetest.DoRun(t, withKey(t, path, s.BaseURL()), 30*time.Second)
		want := probe.TokensSpent{Input: responses.Usage.Input, CachedInput: responses.Usage.CachedInput, Output: responses.Usage.Output}
		if !r.OK() || r.Output != "OK" || r.Tokens == nil || *r.Tokens != want || len(r.Warnings) != 0 {
			t.Errorf("got %v %q, output %q, tokens %v, warnings %v", r.Class, r.Why, r.Output, r.Tokens, r.Warnings)
		}
		turns := s.Turns()
		if len(turns) != 1 || turns[0].Header.Get("Authorization") != "Bearer sk-test" {
			t.Fatalf("got %d turns, want one with the key", len(turns))
		}
		// Without the cheap flags: 19 and 55 KB (measured).
		limit := map[string]int{"0.104.0": 18_000, "0.169.0": 47_000}[filepath.Base(t.Name())]
		if size := len(turns[0].Body); size > limit {
			t.Errorf("the request has %d bytes, want %d at most", size, limit)
		}
	})
}

func TestCodexLiveNetwork(t *testing.T) {
	tests := map[string]string{
		"no such name": "http://netwatchd.invalid/v1",
		"refused":      "http://127.0.0.1:1/v1",
	}
	eachCodex(t, func(t *testing.T, path string) {
		for name, base := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := probetest.DoRun(t, withKey(t, path, base), 30*time.Second)
				if r.Class != probe.ExecNetwork || !strings.Contains(r.Why, "error sending request") {
					t.Errorf("got %v %q, want %v", r.Class, r.Why, probe.ExecNetwork)
				}
			})
		}
	})
}

func TestCodexLiveTLS(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		ca, certificate, err := responses.Authority()
		if err != nil {
			t.Fatal(err)
		}
		s := responses.Start(certificate)
		t.Cleanup(s.Close)
		c := withKey(t, path, s.BaseURL())
		if r := probetest.DoRun(t, c, 30*time.Second); r.Class != probe.ExecNetwork {
			t.Errorf("untrusted: got %v %q, want %v", r.Class, r.Why, probe.ExecNetwork)
		}
		file := filepath.Join(c.StateDir, "ca.pem")
		if err := os.WriteFile(file, ca, 0o644); err != nil {
			t.Fatal(err)
		}
		c.Env = append(c.Env, "SSL_CERT_FILE="+file)
		if r := probetest.DoRun(t, c, 30*time.Second); !r.OK() {
			t.Errorf("trusted: got %v %q, want ok", r.Class, r.Why)
		}
	})
}

// signedInUser returns a run with a ChatGPT sign-in in the user's CODEX_HOME. It names a model: without one, 0.104
// requests the list of models from chatgpt.com three times instead of once, whatever the provider.
func signedInUser(t *testing.T, path string, s *responses.Server) Codex {
	t.Helper()
	state := stateDir(t)
	users := filepath.Join(state, "user")
	if err := os.Mkdir(users, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := responses.SignIn(users); err != nil {
		t.Fatal(err)
	}
	return Codex{Path: path, Home: users, StateDir: filepath.Join(state, "ours"), BaseURL: s.BaseURL(), Model: "gpt-5.5",
		Env: []string{"CODEX_REFRESH_TOKEN_URL_OVERRIDE=" + s.RenewalURL()}}
}

// refreshToken returns the one stored in the user's CODEX_HOME; ours must be a link to it.
func refreshToken(t *testing.T, c Codex) string {
	t.Helper()
	target, err := os.Readlink(filepath.Join(c.StateDir, "codex-home", "auth.json"))
	if err != nil || target != filepath.Join(c.Home, "auth.json") {
		t.Fatalf("auth.json of the run leads to %q (%v)", target, err)
	}
	var stored struct {
		Tokens struct {
			Refresh string `json:"refresh_token"`
		} `json:"tokens"`
	}
	text, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	return stored.Tokens.Refresh
}

func TestCodexLiveSignIn(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		s := serve(t, responses.OK)
		c := signedInUser(t, path, s)
		if r := probetest.DoRun(t, c, 30*time.Second); !r.OK() {
			t.Errorf("signed in: got %v %q, want ok", r.Class, r.Why)
		}
		turns := s.Turns()
		if len(turns) != 1 || !strings.HasPrefix(turns[0].Header.Get("Authorization"), "Bearer eyJ") ||
			turns[0].Header.Get("Chatgpt-Account-Id") == "" {
			t.Errorf("got %d turns, want one with the user's token and account", len(turns))
		}
		if got := refreshToken(t, c); got != "rt_first" {
			t.Errorf("the stored token is %s", got)
		}

		s.Behave(responses.Unauthorized)
		if r := probetest.DoRun(t, c, 30*time.Second); r.Class != probe.ExecUnauthorized {
			t.Errorf("refused: got %v %q, want %v", r.Class, r.Why, probe.ExecUnauthorized)
		}
		if got := refreshToken(t, c); got != "rt_next" {
			t.Errorf("the renewed sign-in did not reach the user's file: %s is stored", got)
		}

		s.RefusesRenewal.Store(true)
		if r := probetest.DoRun(t, c, 30*time.Second); r.Class != probe.ExecUnauthorized || !strings.Contains(r.Why, "could not be refreshed") {
			t.Errorf("expired: got %v %q, want %v", r.Class, r.Why, probe.ExecUnauthorized)
		}
	})
}

func TestCodexLiveNotLoggedIn(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		s := serve(t, responses.OK)
		c := withKey(t, path, s.BaseURL())
		c.Env = nil
		r := probetest.DoRun(t, c, 30*time.Second)
		if r.Class != probe.ExecNotLoggedIn || !strings.Contains(r.Why, "codex login") || len(s.Requests()) != 0 {
			t.Errorf("got %v %q after %d requests, want %v after none", r.Class, r.Why, len(s.Requests()), probe.ExecNotLoggedIn)
		}
	})
}

func TestCodexLiveBrokenConfiguration(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		s := serve(t, responses.OK)
		c := withKey(t, path, s.BaseURL())
		if _, _, _, err := c.Command(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.StateDir, "codex-home", "config.toml"), []byte("[foo\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, key := range [][]string{c.Env, nil} { // with and without the question who is signed in
			c.Env = key
			if r := probetest.DoRun(t, c, 30*time.Second); r.Class != probe.ExecConfigInvalid || !strings.Contains(r.Why, "config.toml:1:5") {
				t.Errorf("got %v %q, want %v with the place", r.Class, r.Why, probe.ExecConfigInvalid)
			}
		}
	})
}

// TestCodexLiveForeignHome runs codex as a user who may not write its CODEX_HOME.
func TestCodexLiveForeignHome(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: to become another user")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("needs setpriv: apt-get install util-linux")
	}
	want := map[string]probe.Class{"0.104.0": probe.OK, "0.169.0": probe.ExecHomeUnwritable}
	eachCodex(t, func(t *testing.T, path string) {
		s := serve(t, responses.OK)
		c := withKey(t, path, s.BaseURL())
		c.Wrapper = []string{setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"}
		_, _, dir, err := c.Command(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{c.StateDir, dir, filepath.Join(dir, "home")} {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		r := probetest.DoRun(t, c, 30*time.Second)
		if r.Class != want[filepath.Base(t.Name())] || !slices.Contains(r.Warnings, "codex_path_update") {
			t.Errorf("got %v %q with %v", r.Class, r.Why, r.Warnings)
		}
	})
}

// TestCodexReadOnlySignIn: no run is made with a sign-in that cannot be renewed.
func TestCodexReadOnlySignIn(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a read-only mount")
	}
	eachCodex(t, func(t *testing.T, path string) {
		s := serve(t, responses.OK)
		c := signedInUser(t, path, s)
		if err := unix.Mount(c.Home, c.Home, "", unix.MS_BIND, ""); err != nil {
			t.Skipf("needs mounts: %v", err)
		}
		t.Cleanup(func() { unix.Unmount(c.Home, unix.MNT_DETACH) })
		if err := unix.Mount("", c.Home, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		r := probetest.DoRun(t, c, 30*time.Second)
		if r.Class != probe.ExecHomeUnwritable || !strings.Contains(r.Why, "auth.json: read-only file system") || len(s.Requests()) != 0 {
			t.Errorf("got %v %q after %d requests, want %v after none", r.Class, r.Why, len(s.Requests()), probe.ExecHomeUnwritable)
		}
	})
}

// TestCodexLiveSandbox is the incident: codex inside codex's sandbox, and a healthy service.
func TestCodexLiveSandbox(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		native, version := programOf(t, path)
		s := serve(t, responses.OK)
		c := withKey(t, path, s.BaseURL())
		c.Home = c.StateDir
		c.Wrapper = sandboxPolicy{version: version}.runCommand()
		c.Wrapper[0] = native
		if r := probetest.DoRun(t, execprobe.Run{Command: append(slices.Clone(c.Wrapper), "/bin/echo", "inside"), Expect: "inside",
			Env: []string{"CODEX_HOME=" + c.StateDir}}, 30*time.Second); !r.OK() {
			t.Skipf("needs user namespaces: codex's sandbox says %s", r.Why)
		}
		r := probetest.DoRun(t, c, 30*time.Second)
		// 0.104.0 runs in a home that it cannot write, 0.169.0 does not: its sandbox lets it write there.
		unwritable := version.Compare(sandboxWithoutSystem) < 0
		if r.Class != probe.ExecNetwork || len(s.Requests()) != 0 ||
			slices.Contains(r.Warnings, "codex_path_update") != unwritable {
			t.Errorf("got %v %q with %v after %d requests", r.Class, r.Why, r.Warnings, len(s.Requests()))
		}

		c.Wrapper = sandboxPolicy{codexconf.Policy{Network: true}, version}.runCommand()
		if c.Wrapper[0] == "codex" {
			c.Wrapper[0] = native
		}
		if r := probetest.DoRun(t, c, 30*time.Second); !r.OK() || len(s.Turns()) != 1 {
			t.Errorf("with network_access: got %v %q after %d turns, want ok after one", r.Class, r.Why, len(s.Turns()))
		}
	})
}

// TestCodexLiveFallback: if our provider entry is refused, codex's own is used.
func TestCodexLiveFallback(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		s := serve(t, responses.OK)
		picky := &refuseOnce{Server: s}
		front := httptestServer(t, picky)
		r := probetest.DoRun(t, withKey(t, path, front+"/backend-api/codex"), 30*time.Second)
		if !r.OK() || !slices.Contains(r.Warnings, warnBuiltinProvider) {
			t.Errorf("got %v %q with %v, want ok with %s", r.Class, r.Why, r.Warnings, warnBuiltinProvider)
		}
	})
}

// TestCodexLiveLeavesNothing: a run an hour must not fill a disk.
func TestCodexLiveLeavesNothing(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		s := serve(t, responses.OK)
		c := withKey(t, path, s.BaseURL())
		var files []int
		var bytes []int64
		for range 7 {
			if r := probetest.DoRun(t, c, 30*time.Second); !r.OK() {
				t.Fatalf("got %v %q, want ok", r.Class, r.Why)
			}
			n, size := usage(t, c.StateDir)
			files, bytes = append(files, n), append(bytes, size)
		}
		t.Logf("files %v, bytes %v", files, bytes)
		// The first run creates what is created once, and each run removes what the one before left. So the largest of
		// three runs is compared with the smallest of the next three.
		if slices.Min(files[4:]) > slices.Max(files[1:4]) || slices.Min(bytes[4:]) > slices.Max(bytes[1:4])+64<<10 {
			t.Errorf("every run leaves something: files %v, bytes %v", files, bytes)
		}
	})
}

// usage returns how much is in dir, without SQLite's working files: there are at most two per database, and whether
// codex removes them when it ends varies.
func usage(t *testing.T, dir string) (files int, bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "-wal") || strings.HasSuffix(path, "-shm") {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, bytes
}

// TestCodexLiveIsGoneAtItsDeadline runs npm's launcher behind a shell: it must end, too.
func TestCodexLiveIsGoneAtItsDeadline(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		for name, wrapper := range map[string][]string{"native": nil, "behind a shell": {"/bin/sh", "-c", `"$@"; :`, "sh"}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := withKey(t, path, serve(t, responses.StallHeaders).BaseURL())
				c.Wrapper = wrapper
				started := time.Now()
				r := probetest.DoRun(t, c, time.Second)
				if took := time.Since(started); r.Class != probe.ExecTimedOut || took > time.Second+execprobe.KillAfter+time.Second {
					t.Errorf("got %v %q after %v, want %v", r.Class, r.Why, took, probe.ExecTimedOut)
				}
				probetest.Gone(t, "CODEX_HOME="+filepath.Join(c.StateDir, "codex-home"))
				probetest.Gone(t, "CODEX_HOME="+filepath.Join(c.StateDir, "codex-inside", "home"))
			})
		}
	})
}

func TestFindCodexLive(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		native, err := Find(path)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 4)
		f, err := os.Open(native)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Read(head); err != nil || string(head) != "\x7fELF" {
			t.Errorf("%s is not a native program", native)
		}
		v, err := Version(t.Context(), native)
		if err != nil || v.String() != filepath.Base(t.Name()) {
			t.Errorf("got version %v, %v", v, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if again, err := Version(ended, native); again != v { // remembered: it could not be asked now
			t.Errorf("got version %v, %v the second time", again, err)
		}
	})
}

// refuseOnce answers the first turn with 404 and passes the others on.
type refuseOnce struct {
	*responses.Server
	refused atomic.Bool
}

func (p *refuseOnce) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && !p.refused.Swap(true) {
		http.Error(w, `{"detail":"Not Found"}`, http.StatusNotFound)
		return
	}
	p.Server.ServeHTTP(w, r)
}

func httptestServer(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
