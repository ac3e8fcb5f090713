package demo

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"netwatchd/internal/lab/parts"
)

var host *parts.Namespace // of the tests

func TestMain(m *testing.M) { parts.Main(m, furnish) }

// furnish gives the host a link with a default route and a nameserver beyond it. Nobody is there. The gateway's
// hardware address is known, so that packets do leave.
func furnish(dir string) error {
	resolvConf := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(resolvConf, []byte("nameserver 192.0.2.53\n"), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(resolvConf, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("replacing /etc/resolv.conf: %w", err)
	}
	return host.Batch([]string{
		"link set lo up",
		"link add out0 type veth peer name nowhere0",
		"link set nowhere0 up",
		"addr add 192.0.2.2/24 dev out0",
		"link set out0 up",
		"neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev out0",
		"route add default via 192.0.2.1",
	}, "ip")
}

// A visit is one run of the demo by a user who has files and settings of their own.
type visit struct {
	t    *testing.T
	temp string
	cmd  *exec.Cmd
	out  parts.Buffer
}

func newVisit(t *testing.T, args ...string) *visit {
	t.Helper()
	parts.Need(t)
	home := t.TempDir()
	v := &visit{t: t, temp: t.TempDir()}
	n := &parts.Netwatchd{In: host, Dir: home, Env: append([]string{"TMPDIR=" + v.temp, "TERM=xterm-256color",
		"LANG=C.UTF-8"}, usersOwn(t, home)...)}
	v.cmd = n.Command(append([]string{"demo"}, args...)...)
	v.cmd.Stdout, v.cmd.Stderr = &v.out, &v.out
	return v
}

// usersOwn plants files of a user in home, each of which would break the demo if it were read, and returns the
// variables that name them. Opening one fails the test.
func usersOwn(t *testing.T, home string) []string {
	t.Helper()
	watched, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[int32]string)
	for _, name := range []string{".config/netwatchd/config.yaml", ".codex/config.toml", ".codex/auth.json",
		".local/state/netwatchd/netwatchd.db", "run/netwatchd/status.json", "web.yml"} {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("not: [valid"), 0o644); err != nil {
			t.Fatal(err)
		}
		wd, err := unix.InotifyAddWatch(watched, path, unix.IN_OPEN|unix.IN_MODIFY|unix.IN_DELETE_SELF)
		if err != nil {
			t.Fatal(err)
		}
		names[int32(wd)] = name
	}
	t.Cleanup(func() {
		defer unix.Close(watched)
		buffer := make([]byte, 4096)
		if n, err := unix.Read(watched, buffer); err == nil && n >= unix.SizeofInotifyEvent {
			event := (*unix.InotifyEvent)(unsafe.Pointer(&buffer[0]))
			t.Errorf("a file of the user's was used: %s", names[event.Wd])
		}
	})
	return []string{
		"XDG_RUNTIME_DIR=" + home + "/run", "CODEX_HOME=" + home + "/.codex",
		"NETWATCHD_CONFIG_FILE=" + home + "/.config/netwatchd/config.yaml", "NETWATCHD_WEB_CONFIG_FILE=" + home + "/web.yml",
		"NETWATCHD_STORAGE_PATH=" + home + "/.local/state/netwatchd", "NETWATCHD_URL=http://192.0.2.9:19405",
		"HTTPS_PROXY=http://192.0.2.8:3128", "HTTP_PROXY=http://192.0.2.8:3128", "ALL_PROXY=http://192.0.2.8:3128",
		"NOTIFY_SOCKET=" + home + "/run/notify",
	}
}

// sent counts the TCP and UDP packets that left by the link.
func sent(t *testing.T) string {
	t.Helper()
	nft, err := exec.LookPath("/usr/sbin/nft")
	if err != nil {
		t.Skip("needs nftables: apt-get install nftables")
	}
	out, err := exec.Command(nft, "list", "table", "inet", "demo").CombinedOutput()
	if err != nil {
		if err := host.NFT("add table inet demo\nadd chain inet demo out { type filter hook output priority 0; }\n" +
			`add rule inet demo out oifname "out0" meta l4proto { tcp, udp } counter` + "\n"); err != nil {
			t.Fatal(err)
		}
		return "0"
	}
	packets := regexp.MustCompile(`counter packets (\d+)`).FindSubmatch(out)
	if packets == nil {
		t.Fatalf("no counter:\n%s", out)
	}
	return string(packets[1])
}

var page = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/`)

// leavesNothing checks that no file, process or port of the demo is left.
func (v *visit) leavesNothing() {
	v.t.Helper()
	if left, err := os.ReadDir(v.temp); err != nil || len(left) > 0 {
		v.t.Errorf("files are left: %v %v", left, err)
	}
	v.leavesNoProcess()
	found := page.FindStringSubmatch(v.out.String())
	if found == nil {
		v.t.Fatalf("the page's address was not printed:\n%s", v.out.String())
	}
	if conn, err := net.Dial("tcp", found[1]); err == nil {
		conn.Close()
		v.t.Errorf("the port of the page is still open: %s", found[1])
	}
}

// leavesNoProcess waits until no process has a file of the demo's directory in its command line. A process whose parent
// was killed ends soon, not at once.
func (v *visit) leavesNoProcess() {
	v.t.Helper()
	if err := parts.Eventually(time.Minute, func() error {
		all, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			return err
		}
		for _, path := range all {
			if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte(v.temp)) {
				return fmt.Errorf("a process is left: %q", line)
			}
		}
		return nil
	}); err != nil {
		v.t.Error(err)
	}
}

// The demo plays through: each verdict names its fault, nothing leaves the host, nothing of the user is read, and
// nothing is left behind.
func TestPlay(t *testing.T) {
	t.Parallel()
	v := newVisit(t, "--play")
	before := sent(t)
	if err := v.cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, v.out.String())
	}
	for _, cause := range []string{
		"healthy", "resolver", "upstream", "interception", "stream", "sandbox", "edge_blocked",
	} {
		if !strings.Contains(v.out.String(), "("+cause+")") {
			t.Errorf("no verdict %s:\n%s", cause, v.out.String())
		}
	}
	_, portal, _ := strings.Cut(v.out.String(), "\n8  a captive portal")
	words := strings.Join(strings.Fields(portal), " ")
	if !strings.Contains(words, "(interception)") || !strings.Contains(words, "First find out which it is") ||
		!strings.Contains(words, "sign in there") {
		t.Errorf("the portal's verdict or its advice is missing:\n%s", portal)
	}
	if after := sent(t); after != before {
		t.Errorf("%s packets had left before, %s after it", before, after)
	}
	v.leavesNothing()

	conn, err := net.Dial("udp", "192.0.2.53:53")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil || sent(t) == before {
		t.Errorf("a packet that left was not counted: %v", err)
	}
}

func (v *visit) start() {
	v.t.Helper()
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { v.cmd.Process.Kill() })
	if err := parts.Eventually(time.Minute, func() error {
		if !strings.Contains(v.out.String(), "(healthy)") {
			return fmt.Errorf("no verdict yet:\n%s", v.out.String())
		}
		return nil
	}); err != nil {
		v.t.Fatal(err)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			t.Parallel()
			v := newVisit(t, "--play")
			v.start()
			if err := v.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = v.cmd.Wait()
			if code := v.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(v.out.String(), "interrupted") {
				t.Errorf("exit code %d:\n%s", code, v.out.String())
			}
			v.leavesNothing()
		})
	}
	t.Run("SIGKILL", func(t *testing.T) { // its files stay, its daemon does not
		t.Parallel()
		v := newVisit(t, "--play")
		v.start()
		_ = v.cmd.Process.Kill()
		_ = v.cmd.Wait()
		v.leavesNoProcess()
	})
}

// A person chooses a fault, sees the verdict, and has their terminal back at the end.
func TestMenu(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	x := parts.Open(t, v.cmd)
	x.Awaits("> 0 nothing is broken", "✓ demo: reachable (healthy)", "8 a captive portal wants a sign-in", "q: quit")
	x.Keys("2")
	x.Awaits("> 2 the service answers 503", "✗ demo: the service fails with status 503 (upstream)",
		`hearsay: the vendor's status page says: "All Systems Operational"`)
	x.Keys("x0")
	x.Awaits("> 0 nothing is broken", "(healthy)")
	x.Keys("\x03")
	x.Ended()
	_, _ = v.out.Write([]byte(x.Written()))
	v.leavesNothing()
}

// A new network namespace has a loopback interface that is down.
func TestWithoutLoopback(t *testing.T) {
	t.Parallel()
	v := newVisit(t, "--play")
	v.cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	if err := v.cmd.Run(); err == nil || !strings.Contains(v.out.String(), "run 'ip link set lo up'") {
		t.Errorf("got %v\n%s", err, v.out.String())
	}
	if left, err := os.ReadDir(v.temp); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
}
