package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netwatchd/internal/probe"
)

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name    string
		signals []string
		maker   string // empty: not denied
		why     string
	}{
		{"nothing", nil, "", ""},
		{"codex 0.104 by default", []string{"socket_inet_eperm", "socket_inet6_eperm", "socket_netlink_eperm", EnvNetworkDisabled,
			SeccompFilter, NoNewPrivs}, codexSandbox,
			"socket(AF_INET) is not permitted; CODEX_SANDBOX_NETWORK_DISABLED=1: the Codex sandbox"},
		{"codex 0.169 managed proxy", []string{"socket_netlink_eperm", "socket_unix_eperm", OnlyLoopback, EnvProxyActive},
			codexSandbox, "socket(AF_UNIX) is not permitted and lo is the only interface; CODEX_NETWORK_PROXY_ACTIVE=1: the Codex sandbox"},
		{"sandbox-runtime 0.0.83", []string{"socket_unix_eperm", OnlyLoopback, EnvSandboxRuntime, AncestorBwrap, SeccompFilter, NoNewPrivs},
			claudeSandbox, "socket(AF_UNIX) is not permitted and lo is the only interface; SANDBOX_RUNTIME=1: the sandbox of Claude Code (sandbox-runtime)"},
		{"the environment wiped", []string{"socket_inet_eperm", AncestorCodexSandbox}, codexSandbox,
			"socket(AF_INET) is not permitted; started by codex-linux-sandbox: the Codex sandbox"},
		{"another sandbox", []string{"socket_inet_eacces", SeccompFilter}, otherSandbox, "socket(AF_INET) is not permitted: a sandbox"},
		{"bubblewrap alone does not mean Codex", []string{"socket_inet_eperm", AncestorBwrap}, otherSandbox, "socket(AF_INET) is not permitted: a sandbox"},
		{"every signal but the socket test", []string{"socket_inet6_eafnosupport", "socket_netlink_eperm", OnlyLoopback, EnvNetworkDisabled,
			EnvProxyActive, EnvCodexCI, EnvPermissionProfile, EnvSandboxRuntime, AncestorCodexSandbox, AncestorCodex, AncestorBwrap, OwnNetns, SeccompFilter, NoNewPrivs}, "", ""},
		{"no unix sockets, with a network", []string{"socket_unix_eperm", EnvProxyActive}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := judge(tt.signals)
			want := Detection{Denied: tt.maker != "", Maker: tt.maker, Signals: tt.signals, Why: tt.why}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error("(-want +got)\n" + diff)
			}
		})
	}
}

// Only a socket test decides, whatever the other signals are.
func TestNothingButSocketsDenies(t *testing.T) {
	others := slices.DeleteFunc(Signals(), func(s string) bool { return strings.HasPrefix(s, "socket_") })
	for set := range 1 << len(others) {
		var signals []string
		for i, s := range others {
			if set&(1<<i) != 0 {
				signals = append(signals, s)
			}
		}
		if judge(signals).Denied {
			t.Fatalf("denied by %v", signals)
		}
		if !judge(append([]string{"socket_inet_eperm"}, signals...)).Denied {
			t.Fatalf("not denied with %v", signals)
		}
	}
}

func TestProcessSeesEverySignalInOrder(t *testing.T) {
	p := process{
		socket: func(int, int) error { return unix.EPERM },
		getenv: func(string) string { return "1" },
		proc: fstest.MapFS{
			"self/net/dev":  {Data: []byte("Inter-|\n face |\n    lo: 0\n")},
			"self/status":   {Data: []byte("Name:\tx\nPPid:\t7\nNoNewPrivs:\t1\nSeccomp:\t2\n")},
			"self/ns/net":   {Data: []byte("net:[2]"), Mode: os.ModeSymlink},
			"1/ns/net":      {Data: []byte("net:[1]"), Mode: os.ModeSymlink},
			"7/cmdline":     {Data: []byte("/tmp/arg0/codex-linux-sandbox\x00--policy\x00")},
			"7/status":      {Data: []byte("PPid:\t6\n")},
			"6/cmdline":     {Data: []byte("bwrap\x00--unshare-net\x00")},
			"6/status":      {Data: []byte("PPid:\t5\n")},
			"5/cmdline":     {Data: []byte("/usr/bin/codex\x00exec\x00")},
			"5/status":      {Data: []byte("PPid:\t7\n")}, // a loop must not hang
			"unrelated/dir": {},
		},
	}
	want := slices.DeleteFunc(Signals(), func(s string) bool {
		return strings.HasSuffix(s, "_eacces") || strings.HasSuffix(s, "_eafnosupport")
	})
	if diff := cmp.Diff(want, p.detect().Signals); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
}

func TestSignalsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/signals.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Signals() {
		if family, errno, ok := strings.Cut(strings.TrimPrefix(s, "socket_"), "_"); ok && strings.HasPrefix(s, "socket_") {
			s = "socket_" + family + "_*" // one row documents a family
			if !strings.Contains(string(doc), "`"+errno+"`") {
				t.Errorf("docs/signals.md does not document %s", errno)
			}
		}
		if !strings.Contains(string(doc), "`"+s+"`") {
			t.Errorf("docs/signals.md does not document %s", s)
		}
	}
}

// expect checks the class, the message and the signals of a sandbox check: with must be there, without must not.
func expect(t *testing.T, r probe.Result, class probe.Class, why string, with, without []string) {
	t.Helper()
	if r.Class != class || !strings.Contains(r.Why, why) {
		t.Errorf("got %s %q, want %s with %q", r.Class, r.Why, class, why)
	}
	for _, s := range with {
		if !slices.Contains(r.Signals, s) {
			t.Errorf("no %s among %v", s, r.Signals)
		}
	}
	for _, s := range without {
		if slices.Contains(r.Signals, s) {
			t.Errorf("%s among %v", s, r.Signals)
		}
	}
	for _, s := range r.Signals {
		if !slices.Contains(Signals(), s) {
			t.Errorf("%s is not in the closed list", s)
		}
	}
}

func TestUnderFilter(t *testing.T) {
	for _, tt := range []struct {
		filter string
		class  probe.Class
		why    string
		with   []string
	}{
		{"eperm", probe.LocalDenied, "socket(AF_INET) is not permitted: a sandbox", []string{"socket_inet_eperm", "socket_inet6_eperm",
			"socket_netlink_eperm", SeccompFilter, NoNewPrivs}},
		{"eacces", probe.LocalDenied, "socket(AF_INET) is not permitted: a sandbox", []string{"socket_inet_eacces"}},
		{"eafnosupport", probe.LocalDenied, "RestrictAddressFamilies=", []string{"socket_inet_eafnosupport"}},
		{"eperm unix", probe.OK, "", []string{"socket_unix_eperm"}},
	} {
		t.Run(tt.filter, func(t *testing.T) {
			cmd := exec.Command(self(t))
			cmd.Env = append(cleanEnv(), filterEnv+"="+tt.filter)
			found := runChecks(t, cmd)
			expect(t, found["sandbox"], tt.class, tt.why, tt.with, []string{EnvNetworkDisabled})
			if tt.class == probe.OK {
				return
			}
			for _, name := range []string{"link", "route"} {
				if r := found[name]; !slices.Contains(r.Warnings, netlinkDenied) || r.Class == probe.Internal || r.Class == probe.Unknown {
					t.Errorf("%s without netlink: %s %q, warnings %v", name, r.Class, r.Why, r.Warnings)
				}
			}
		})
	}
}

func TestUnderFilterAndNoInterface(t *testing.T) {
	needsRoot(t)
	found := inNamespace(t, "export "+filterEnv+"='eperm unix'")
	expect(t, found["sandbox"], probe.LocalDenied, "lo is the only interface: a sandbox", []string{"socket_unix_eperm", OnlyLoopback}, nil)
}

// A terminal multiplexer or a unit file can keep an agent's variable outside the sandbox.
func TestInheritedVariableAlone(t *testing.T) {
	cmd := exec.Command(self(t))
	cmd.Env = append(cleanEnv(), "CODEX_SANDBOX_NETWORK_DISABLED=1", "CODEX_NETWORK_PROXY_ACTIVE=1", "CODEX_CI=1",
		"CODEX_PERMISSION_PROFILE=:read-only")
	expect(t, runChecks(t, cmd)["sandbox"], probe.OK, "",
		[]string{EnvNetworkDisabled, EnvProxyActive, EnvCodexCI, EnvPermissionProfile}, nil)
}

// A firewall returns EPERM like the sandbox does, but from write.
func TestFirewallIsNoSandbox(t *testing.T) {
	needsRoot(t)
	nft := needsTool(t, "nft", "apt-get install nftables")
	found := inNamespace(t, "ip link set lo up\n"+nft+" 'add table inet f; add chain inet f out { type filter hook output priority 0; policy drop; }'\n"+
		checkEnv+"="+checkWrite+" "+self(t)+" | grep 'write: operation not permitted' >&2") // or the firewall does not work
	expect(t, found["sandbox"], probe.OK, "", nil, []string{"socket_inet_eperm"})
}

func TestInBubblewrap(t *testing.T) {
	bwrap := needsTool(t, "bwrap", "apt-get install bubblewrap")
	found := runChecks(t, exec.Command(bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-net", "--unshare-pid", self(t)))
	expect(t, found["sandbox"], probe.OK, "", []string{OnlyLoopback, AncestorBwrap, NoNewPrivs}, []string{AncestorCodex})
	if r := found["link"]; r.Class != probe.LocalNoInterface {
		t.Errorf("link: %s %q", r.Class, r.Why)
	}
	if r := found["route"]; r.Class != probe.LocalNoRoute {
		t.Errorf("route: %s %q", r.Class, r.Why)
	}
}

func TestInCodexSandbox(t *testing.T) {
	const workspace, network = `sandbox_mode="workspace-write"`, "sandbox_workspace_write.network_access=true"
	for _, tt := range []struct {
		name    string
		version string
		args    []string
		class   probe.Class
		why     string
		with    []string
		without []string
	}{
		{"0.104", "0.104.0", []string{"sandbox", "linux", "--"}, probe.LocalDenied,
			"socket(AF_INET) is not permitted; CODEX_SANDBOX_NETWORK_DISABLED=1; ",
			[]string{"socket_inet_eperm", "socket_inet6_eperm", "socket_netlink_eperm", EnvNetworkDisabled, AncestorCodex, SeccompFilter, NoNewPrivs},
			[]string{"socket_unix_eperm", OnlyLoopback, EnvProxyActive}},
		{"0.169", "0.169.0", []string{"sandbox", "--"}, probe.LocalDenied,
			"socket(AF_INET) is not permitted; CODEX_SANDBOX_NETWORK_DISABLED=1; ",
			[]string{"socket_inet_eperm", EnvNetworkDisabled, OnlyLoopback, AncestorCodexSandbox, SeccompFilter, NoNewPrivs},
			[]string{"socket_unix_eperm", EnvProxyActive}},
		{"0.169 with the network", "0.169.0", []string{"sandbox", "-c", workspace, "-c", network, "--"}, probe.OK, "",
			[]string{SeccompFilter, NoNewPrivs}, []string{"socket_inet_eperm", EnvNetworkDisabled}},
		{"0.169 managed proxy", "0.169.0", []string{"sandbox", "--enable", "network_proxy", "-c", workspace, "-c", network, "--"},
			probe.LocalDenied, "lo is the only interface; CODEX_NETWORK_PROXY_ACTIVE=1; ",
			[]string{"socket_unix_eperm", OnlyLoopback, EnvProxyActive}, []string{"socket_inet_eperm", EnvNetworkDisabled}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := runChecks(t, inCodex(t, tt.version, tt.args))
			expect(t, found["sandbox"], tt.class, tt.why, tt.with, tt.without)
			if tt.class == probe.LocalDenied && !strings.HasSuffix(found["sandbox"].Why, codexSandbox) {
				t.Errorf("%q does not name the sandbox", found["sandbox"].Why)
			}
		})
	}
}

// inCodex runs this binary in the sandbox of the real codex, with a separate home directory.
func inCodex(t *testing.T, version string, args []string) *exec.Cmd {
	t.Helper()
	codex := codexOf(t, version)
	home, temporary := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".codex"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(codex, append(slices.Clone(args), self(t))...)
	cmd.Dir = home
	// codex 0.169 rejects a home inside the temporary directory, so TMPDIR is a sibling of it.
	cmd.Env = append(cleanEnv(), "HOME="+home, "TMPDIR="+temporary)
	return cmd
}
