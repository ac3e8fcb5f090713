package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"netwatchd/internal/probe"
)

// Sandbox checks whether this process may use the network at all. If not, it fails with [probe.LocalDenied].
// Facts.Signals lists the signals in either case.
type Sandbox struct{}

// Probe checks this process.
func (Sandbox) Probe(context.Context) (probe.Facts, error) {
	s := DetectSandbox()
	facts := probe.Facts{Signals: s.Signals}
	if s.Denied {
		return facts, probe.Failf(probe.LocalDenied, "%s", s.Why)
	}
	if err := openSocket(unix.AF_INET, unix.SOCK_DGRAM); err != nil {
		return facts, fmt.Errorf("socket(AF_INET): %w", err)
	}
	return facts, nil
}

// DetectSandbox checks this process.
func DetectSandbox() Detection {
	return process{openSocket, os.Getenv, os.DirFS("/proc")}.detect()
}

// process gives access to what a process can know about itself.
type process struct {
	socket func(family, kind int) error
	getenv func(string) string
	proc   fs.FS
}

func (p process) detect() Detection {
	return judge(slices.Concat(p.sockets(), p.loopback(), p.environment(), p.ancestors(), p.namespace(),
		p.restrictions()))
}

// families are the sockets to try: IPv4 and IPv6, netlink, and unix, which a network sandbox leaves open or, with a
// managed proxy, closes.
var families = []struct {
	name         string
	family, kind int
}{
	{"inet", unix.AF_INET, unix.SOCK_DGRAM},
	{"inet6", unix.AF_INET6, unix.SOCK_DGRAM},
	{"netlink", unix.AF_NETLINK, unix.SOCK_RAW},
	{"unix", unix.AF_UNIX, unix.SOCK_DGRAM},
}

// refusals are the errors of a policy. Other errors of socket(2) (EMFILE, ENOMEM) mean a lack of resources.
var refusals = []struct {
	name  string
	errno unix.Errno
}{
	{"eperm", unix.EPERM},
	{"eacces", unix.EACCES},
	{"eafnosupport", unix.EAFNOSUPPORT},
}

func refused(err error) bool {
	for _, refusal := range refusals {
		if errors.Is(err, refusal.errno) {
			return true
		}
	}
	return false
}

// openSocket calls socket(2) directly. A firewall's EPERM comes from write, so an EPERM from here can only come from
// a policy on this process.
func openSocket(family, kind int) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func (p process) sockets() (seen []string) {
	for _, f := range families {
		err := p.socket(f.family, f.kind)
		for _, refusal := range refusals {
			if errors.Is(err, refusal.errno) {
				seen = append(seen, signalOf(f.name, refusal.name))
			}
		}
	}
	return seen
}

func (p process) loopback() []string {
	names, err := interfaceNames(p.proc)
	if err != nil || len(names) > 0 {
		return nil
	}
	return []string{OnlyLoopback}
}

func (p process) environment() (seen []string) {
	for _, v := range []struct{ variable, signal string }{
		{"CODEX_SANDBOX_NETWORK_DISABLED", EnvNetworkDisabled},
		{"CODEX_NETWORK_PROXY_ACTIVE", EnvProxyActive},
		{"CODEX_CI", EnvCodexCI},
	} {
		if p.getenv(v.variable) == "1" {
			seen = append(seen, v.signal)
		}
	}
	if p.getenv("CODEX_PERMISSION_PROFILE") != "" { // a name: codex 0.169 sets it where no sandbox_mode is in force
		seen = append(seen, EnvPermissionProfile)
	}
	if p.getenv("SANDBOX_RUNTIME") == "1" {
		seen = append(seen, EnvSandboxRuntime)
	}
	return seen
}

// ancestryLimit ends the walk to pid 1 if the process tree changes meanwhile: an orphan gets a new parent, and a
// reused pid could make a loop. Shells in agents in terminals are about ten levels deep.
const ancestryLimit = 64

func (p process) ancestors() (seen []string) {
	programs := make(map[string]bool)
	pid := p.status("self", "PPid")
	for range ancestryLimit {
		if pid == "" || pid == "0" {
			break
		}
		programs[p.program(pid)] = true
		pid = p.status(pid, "PPid")
	}
	for _, a := range []struct{ program, signal string }{
		{"codex-linux-sandbox", AncestorCodexSandbox},
		{"codex", AncestorCodex},
		{"bwrap", AncestorBwrap},
	} {
		if programs[a.program] {
			seen = append(seen, a.signal)
		}
	}
	return seen
}

// program returns the name by which a process was started. Codex runs its sandbox helper from the same executable
// under another argv[0], so /proc/PID/exe does not distinguish them.
func (p process) program(pid string) string {
	cmdline, err := fs.ReadFile(p.proc, pid+"/cmdline")
	if err != nil {
		return ""
	}
	first, _, _ := bytes.Cut(cmdline, []byte{0})
	return path.Base(string(first))
}

// status returns a field of /proc/PID/status, or "" if it cannot be read (hidepid, or the process ended).
func (p process) status(pid, field string) string {
	text, err := fs.ReadFile(p.proc, pid+"/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (p process) namespace() []string {
	own, err := fs.ReadLink(p.proc, "self/ns/net")
	if err != nil {
		return nil
	}
	if first, err := fs.ReadLink(p.proc, "1/ns/net"); err != nil || first == own {
		return nil
	}
	return []string{OwnNetns}
}

func (p process) restrictions() (seen []string) {
	if p.status("self", "Seccomp") == "2" {
		seen = append(seen, SeccompFilter)
	}
	if p.status("self", "NoNewPrivs") == "1" {
		seen = append(seen, NoNewPrivs)
	}
	return seen
}
