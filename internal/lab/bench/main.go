// Bench measures netwatchd where it works hardest: thousands of DNS probes every second on one core, each a real query
// to a real socket of a nameserver on the loopback interface.
//
//	go run ./internal/lab/bench -netwatchd bin/netwatchd
//
// It reports the share of planned probes that ran, the cost of a probe, memory, and how late attempts start.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type options struct {
	netwatchd string
	targets   int
	services  int
	servers   int
	interval  time.Duration
	span      time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.netwatchd, "netwatchd", "bin/netwatchd", "the binary to measure")
	flag.IntVar(&o.targets, "targets", 10_000, "how many DNS probes")
	flag.IntVar(&o.services, "services", 100, "spread over how many services")
	flag.IntVar(&o.servers, "nameservers", 1, "at how many nameservers, each at an address of its own")
	flag.DurationVar(&o.interval, "interval", time.Second, "how often each")
	flag.DurationVar(&o.span, "for", time.Minute, "how long to measure")
	flag.Parse()
	if err := bench(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settle lets what a start costs (the first round, the first garbage) pass before the measuring begins.
const settle = 5 * time.Second

func bench(o options) error {
	dir, err := os.MkdirTemp("", "netwatchd-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	web, err := freePort()
	if err != nil {
		return err
	}
	// The last core is the daemon's alone; the nameserver and all else here have the others, if there are others.
	cores := runtime.NumCPU()
	if err := confine(0, max(cores-1, 1)); err != nil {
		return err
	}
	ns, err := newNameserver()
	if err != nil {
		return err
	}
	defer ns.conn.Close()
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte(o.config(dir, ns.port())), 0o644); err != nil {
		return err
	}
	daemon, err := start(
		cores-1,
		o.netwatchd,
		"run",
		"--config.file="+config,
		"--web.listen-address="+web,
		"--log.level=warn",
	)
	if err != nil {
		return err
	}
	defer func() { daemon.Process.Kill(); daemon.Wait() }()
	return measure(o, ns, daemon.Process.Pid, "http://"+web)
}

// measure scrapes before and after, outside of the span in which the CPU time is taken: a scrape of ten thousand
// probes costs as much as a second of probing.
func measure(o options, ns *nameserver, pid int, url string) error {
	if err := ready(url, pid); err != nil {
		return err
	}
	time.Sleep(settle)
	var m measurement
	var err error
	if m.fresh, err = lookAt(pid, ns); err != nil {
		return err
	}
	if m.first, err = scrape(url); err != nil {
		return err
	}
	time.Sleep(settle)
	if m.before, err = lookAt(pid, ns); err != nil {
		return err
	}
	time.Sleep(o.span)
	if m.after, err = lookAt(pid, ns); err != nil {
		return err
	}
	if m.last, err = scrape(url); err != nil {
		return err
	}
	fmt.Print(m.report(o))
	return nil
}

// config is what the daemon is to do: ask nameservers for many names, and nothing else.
func (o options) config(dir string, port int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "storage: {path: %s/storage}\nstatus_file: %s/status.json\n", dir, dir)
	fmt.Fprintf(&b, "defaults: {interval: %v, timeout: %v}\n", o.interval, o.interval/2)
	b.WriteString("resolvers: {system: false, files: [], direct: []}\ncontrols: []\nservices:\n")
	for service := range o.services {
		fmt.Fprintf(&b, "  - name: s%d\n    probes:\n", service)
		for probe := service; probe < o.targets; probe += o.services {
			fmt.Fprintf(&b, "      - {name: p%d, kind: dns, target: host-%d.example, types: [A], nameservers: [\"%s\"]}\n",
				probe, probe, serverAddress(probe%o.servers, port))
		}
	}
	return b.String()
}

// freePort is a free loopback address.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// start starts a program on one core. It ends with this one.
func start(core int, path string, args ...string) (*exec.Cmd, error) {
	runtime.LockOSThread() // the child inherits the cores of this thread, and dies with it
	if err := pin(0, core, core+1); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	return cmd, pin(0, 0, max(core, 1))
}

// confine keeps this process, every thread of it, on the cores from first to before last.
func confine(first, last int) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := pin(id, first, last); err != nil {
			return err
		}
	}
	return nil
}

// pin keeps one thread, 0 for the calling one, on the cores from first to before last; those it starts stay there too.
func pin(thread, first, last int) error {
	var cores unix.CPUSet
	for core := first; core < last; core++ {
		cores.Set(core)
	}
	if err := unix.SchedSetaffinity(thread, &cores); err != nil {
		return fmt.Errorf("choosing cores: %w", err)
	}
	return nil
}

// ready waits until the daemon's first round is over.
func ready(url string, pid int) error {
	is := func() error {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid)); err != nil {
			return errors.New("it has exited")
		}
		response, err := http.Get(url + "/-/ready")
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	}
	var err error
	for deadline := time.Now().Add(readyWithin); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = is(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the daemon is not ready after %v: %w", readyWithin, err)
}

// readyWithin is many first rounds.
const readyWithin = 30 * time.Second
