// Bench measures netwatchd where it works hardest: thousands of DNS probes every second on one core, each a real query to
// a real socket of a nameserver on the loopback interface.
//
//	go run ./internal/lab/bench -netwatchd bin/netwatchd
//
// It says what share of the plan was kept, what a probe costs, how much memory is held and how late attempts begin.
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
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type options struct {
	netwatchd string
	targets   int
	services  int
	interval  time.Duration
	span      time.Duration
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "answer" {
		exitOn(answer(os.Args[2]))
		return
	}
	var o options
	flag.StringVar(&o.netwatchd, "netwatchd", "bin/netwatchd", "the binary to measure")
	flag.IntVar(&o.targets, "targets", 10_000, "how many DNS probes")
	flag.IntVar(&o.services, "services", 100, "spread over how many services")
	flag.DurationVar(&o.interval, "interval", time.Second, "how often each")
	flag.DurationVar(&o.span, "for", time.Minute, "how long to measure")
	flag.Parse()
	exitOn(bench(o))
}

func exitOn(err error) {
	if err != nil {
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
	nameserver, err := free("udp")
	if err != nil {
		return err
	}
	web, err := free("tcp")
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte(o.config(dir, nameserver)), 0o644); err != nil {
		return err
	}
	// The last core is the daemon's alone; the nameserver and this program have the others, if there are others.
	cores := runtime.NumCPU()
	responder, err := start(0, max(cores-1, 1), os.Args[0], "answer", nameserver)
	if err != nil {
		return err
	}
	defer end(responder)
	if err := answering(nameserver); err != nil {
		return err
	}
	daemon, err := start(cores-1, cores, o.netwatchd, "run", "--config.file="+config, "--web.listen-address="+web, "--log.level=warn")
	if err != nil {
		return err
	}
	defer end(daemon)
	if err := ready("http://"+web, daemon.Process.Pid); err != nil {
		return err
	}
	time.Sleep(settle)
	before, err := observe(daemon.Process.Pid, "http://"+web)
	if err != nil {
		return err
	}
	time.Sleep(o.span)
	after, err := observe(daemon.Process.Pid, "http://"+web)
	if err != nil {
		return err
	}
	fmt.Print(report(o, before, after))
	return nil
}

// config is what the daemon is to do: ask nameserver for many names, and nothing else.
func (o options) config(dir, nameserver string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "storage: {path: %s/storage}\nstatus_file: %s/status.json\n", dir, dir)
	fmt.Fprintf(&b, "defaults: {interval: %v, timeout: %v}\n", o.interval, o.interval/2)
	b.WriteString("resolvers: {system: false, files: [], direct: []}\ncontrols: []\nservices:\n")
	for service := range o.services {
		fmt.Fprintf(&b, "  - name: s%d\n    probes:\n", service)
		for probe := service; probe < o.targets; probe += o.services {
			fmt.Fprintf(&b, "      - {name: p%d, kind: dns, target: host-%d.example, types: [A], nameservers: [\"%s\"]}\n",
				probe, probe, nameserver)
		}
	}
	return b.String()
}

// free is an address of the loopback interface whose port is free.
func free(network string) (string, error) {
	if network == "tcp" {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		defer listener.Close()
		return listener.Addr().String(), nil
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.LocalAddr().String(), nil
}

// start starts a program on the cores from first to before last. It ends with this one.
func start(first, last int, path string, args ...string) (*exec.Cmd, error) {
	runtime.LockOSThread() // the child inherits the thread's cores, and dies with it
	var mine, its unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		return nil, err
	}
	for core := first; core < last; core++ {
		its.Set(core)
	}
	if err := unix.SchedSetaffinity(0, &its); err != nil {
		return nil, fmt.Errorf("choosing cores: %w", err)
	}
	defer unix.SchedSetaffinity(0, &mine)
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	return cmd, nil
}

func end(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

// ready waits until the daemon's first round is over.
func ready(url string, pid int) error {
	return until(30*time.Second, "the daemon is not ready", func() error {
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
	})
}

func until(within time.Duration, otherwise string, is func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := is()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s after %v: %w", otherwise, within, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
