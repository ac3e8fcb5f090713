package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func cores() int { return runtime.NumCPU() }

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
	cmd.Stdout, cmd.Stderr = nil, os.Stderr
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

// await waits until url answers 200.
func await(url string, pid int) error {
	is := func() error {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid)); err != nil {
			return errors.New("it has exited")
		}
		response, err := http.Get(url)
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
	return fmt.Errorf("%s is not ready after %v: %w", url, readyWithin, err)
}

// readyWithin is many first rounds, and the time to read a configuration of 50,000 probes on a busy machine.
const readyWithin = time.Minute

// tick is the unit of /proc/PID/stat: USER_HZ, a hundredth of a second on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu is the time the process has spent, its own and the kernel's: fields 14 and 15 of proc_pid_stat(5).
func cpu(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// A name may hold anything; field 3 follows it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += time.Duration(n)
	}
	return ticks * tick, nil
}

// memory is what the process holds now, and the most it ever held.
func memory(pid int) (resident, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		fmt.Sscanf(line, "VmRSS: %d kB", &resident)
		fmt.Sscanf(line, "VmHWM: %d kB", &peak)
	}
	return resident << 10, peak << 10, nil
}
