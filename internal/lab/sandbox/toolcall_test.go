package sandbox

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netwatchd/internal/lab/parts"
)

const (
	networked = "[sandbox_workspace_write]\nnetwork_access = true\n"
	cut       = "[sandbox_workspace_write]\nnetwork_access = false\n"
	trusted   = "[projects.'WORK']\ntrust_level = 'trusted'\n"
	untrusted = "[projects.'WORK']\ntrust_level = 'untrusted'\n"
	permitted = "default_permissions = 'x'\n[permissions.x]\nextends = ':workspace'\n[permissions.x.network]\nenabled = true\n"
	domains   = "[permissions.x.network.domains]\n'example.com' = 'allow'\n"
	proxied   = "[features]\nnetwork_proxy = true\n"
	readOnly  = "sandbox_mode = 'read-only'\n"
)

// A situation is what stands in codex's files, and what a command of the agent reaches with them.
type situation struct {
	user, project      string            // config.toml
	system             map[string]string // files of /etc/codex
	old, newest, cause string            // the class of a request with 0.104.0 (empty: not tried) and 0.169.0, and the verdict with 0.169.0
}

var situations = map[string]situation{
	"nothing":                           {"", "", nil, denied, denied, "healthy"},
	"open":                              {opened, "", nil, "ok", "ok", "healthy"},
	"network in an untrusted directory": {networked, "", nil, denied, denied, "sandbox"},
	"network in a trusted project":      {networked + trusted, "", nil, "ok", "ok", "healthy"},
	"network in a project that is not trusted": {networked + untrusted, "", nil, "ok", "ok", "healthy"},
	"a trusted project opens":                  {trusted, opened, nil, "ok", "ok", "healthy"},
	"a trusted project closes":                 {opened + trusted, readOnly, nil, denied, denied, "healthy"},
	"a project that is not trusted":            {untrusted, opened, nil, denied, denied, "healthy"},
	"a project that is not listed":             {"", opened, nil, "", denied, "healthy"},
	"permissions":                              {permitted, "", nil, denied, "ok", "healthy"},
	"permissions: domains without a proxy":     {permitted + domains, "", nil, "", "ok", "healthy"},
	"permissions: domains with a proxy":        {permitted + domains + proxied, "", nil, "", denied, "healthy"},
	"permissions of a trusted project":         {trusted, permitted, nil, "", "ok", "healthy"},
	"a proxy":                                  {opened + proxied, "", nil, "ok", denied, "healthy"},
	"a trusted project's proxy":                {opened + trusted, proxied, nil, "", denied, "healthy"},
	"the system opens":                         {"", "", map[string]string{"config.toml": opened}, "", "ok", "healthy"},
	"the administrator opens":                  {readOnly, "", map[string]string{"managed_config.toml": opened}, "ok", "ok", "healthy"},
	"the administrator closes":                 {opened, "", map[string]string{"managed_config.toml": cut}, denied, denied, "healthy"},
	"the administrator allows no writing":      {opened, "", map[string]string{"requirements.toml": "allowed_sandbox_modes = ['read-only']\n"}, denied, denied, "healthy"},
}

const denied = "local.denied"

// In each situation the real codex runs a command that a mock of the model asks for, and that command probes the
// service. The sandbox probe of netwatchd must end as it did. Without want, what codex's files ask for is expected.
func TestToolCall(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: to write /etc/codex")
	}
	for _, version := range parts.CodexVersions {
		t.Run(version, func(t *testing.T) {
			s := play(t, version)
			overlayEtc(t)
			config := s.watching("sandbox: {}")
			for _, name := range slices.Sorted(maps.Keys(situations)) {
				if version == "0.104.0" && situations[name].old == "" {
					continue
				}
				t.Run(name, func(t *testing.T) {
					s.t = t
					s.arrange(situations[name])
					want := situations[name].newest
					if version == "0.104.0" {
						want = situations[name].old
					}
					if got := s.toolCall(version); got != want {
						t.Errorf("a command of codex ends with %s, want %s", got, want)
					}
					v := s.netwatchd("check", config, "--json").status(t).Services[0]
					if head, ok := v.inside("head"); !ok || head.Class != want {
						t.Errorf("the sandbox probe ends with %s (%s), want %s", head.Class, head.Why, want)
					}
					if version != "0.104.0" && v.Cause != situations[name].cause {
						t.Errorf("the verdict is %s (%s), want %s", v.Cause, v.Title, situations[name].cause)
					}
				})
			}
		})
	}
}

func (s *scene) work() string { return filepath.Join(s.dir, "work") }

// arrange writes codex's files.
func (s *scene) arrange(of situation) {
	s.t.Helper()
	for _, dir := range []string{s.work(), "/etc/codex"} {
		if err := os.RemoveAll(dir); err != nil {
			s.t.Fatal(err)
		}
	}
	files := map[string]string{filepath.Join(s.home(), "config.toml"): strings.ReplaceAll(of.user, "WORK", s.work())}
	if of.project != "" {
		files[filepath.Join(s.work(), ".codex", "config.toml")] = of.project
	}
	for name, text := range of.system {
		files[filepath.Join("/etc/codex", name)] = text
	}
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.MkdirAll(s.work(), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// classInJSON finds the class in JSON that codex has quoted, once or twice.
var classInJSON = regexp.MustCompile(`\\*"class\\*": ?\\*"([a-z0-9_.]+)`)

// toolCall has codex run a command in the project, and returns the class of the probe that the command makes.
func (s *scene) toolCall(version string) string {
	s.t.Helper()
	s.service.Forget()
	s.service.Ask(s.program + " probe http https://chatgpt.com/backend-api/codex/responses --method HEAD --expect.status 405 " +
		"--tls.ca-file " + filepath.Join(s.Dir, "ca.pem") + " --json")
	model := map[string]string{"0.104.0": "gpt-5.2-codex", "0.169.0": "gpt-5.5"}[version]
	provider := fmt.Sprintf(`model_providers.mock={name="mock",base_url=%q,wire_api="responses",env_key="CODEX_API_KEY"}`, s.service.BaseURL())
	e := s.runIn(s.work(), filepath.Join(s.codex, "codex"), "exec", "--skip-git-repo-check", "--json", "-m", model,
		"-c", `model_provider="mock"`, "-c", provider, "run")
	output, _ := s.service.Output()
	if strings.Contains(output, "was blocked: domain is not on the allowlist") { // codex then keeps what the command printed
		return denied
	}
	m := classInJSON.FindStringSubmatch(output)
	if m == nil {
		s.t.Fatalf("the command printed no result: %s\n%s\n%s", output, e.Stdout, e.Stderr)
	}
	return m[1]
}

// overlayEtc lets the test write /etc.
func overlayEtc(t *testing.T) {
	t.Helper()
	resolvConf, err := os.Open("/etc/resolv.conf") // a mount of its own, which the overlay does not have
	if err != nil {
		t.Fatal(err)
	}
	defer resolvConf.Close()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Skipf("needs mounts: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	for _, name := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	layers := fmt.Sprintf("lowerdir=/etc,upperdir=%s/upper,workdir=%s/work", dir, dir)
	if err := unix.Mount("overlay", "/etc", "overlay", 0, layers); err != nil {
		t.Skipf("needs overlayfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount("/etc", unix.MNT_DETACH) })
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", resolvConf.Fd()), "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
}
