// Machine runs the laboratory's scenes that need a whole machine (a clock that is set, sleep) in an emulated one
// without an outside network. hack/machine builds it.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Lines that the machine prints before it sleeps and when its tests ended.
const (
	sleepsFor = "machine: sleeps for "
	endedWith = "machine: ended with "
)

// first is the machine's init.
const first = `#!/bin/sh
for dir in /tmp /var/tmp /dev/shm; do mkdir -p $dir; mount -t tmpfs tmpfs $dir; done
ip link set lo up
cd /lab
NETWATCHD_BINARY=/lab/netwatchd ./scenes -test.run '^TestMachine$/%s' -machine -test.v
echo "` + endedWith + `$?"
sync
sleep 60
`

func main() {
	dir := flag.String("dir", ".cache/machine", "directory of hack/machine")
	log := flag.Bool("log", false, "show the kernel's log too")
	pattern := flag.String("run", "", "only the scenes that match, as in go test -run")
	flag.Parse()
	code, err := run(*dir, *pattern, *log)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(dir, pattern string, log bool) (int, error) {
	temp, err := os.MkdirTemp("", "netwatchd-machine-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(temp)
	if err := payload(temp, pattern); err != nil {
		return 0, err
	}
	m := &machine{clock: filepath.Join(temp, "clock"), monitor: filepath.Join(temp, "monitor"), log: log}
	if err := m.pass(0); err != nil {
		return 0, err
	}
	return m.run(dir, filepath.Join(temp, "lab.img"))
}

// payload builds the disk with the tests.
func payload(temp, pattern string) error {
	lab := filepath.Join(temp, "lab")
	if err := os.Mkdir(lab, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(lab, "first"), fmt.Appendf(nil, first, pattern), 0o755); err != nil {
		return err
	}
	for _, command := range [][]string{
		{"go", "build", "-trimpath", "-o", lab + "/netwatchd", "netwatchd/cmd/netwatchd"},
		{"go", "test", "-c", "-o", lab + "/scenes", "netwatchd/internal/lab/scenes"},
		{"truncate", "-s", "100M", temp + "/lab.img"},
		{"mkfs.ext4", "-q", "-F", "-d", lab, temp + "/lab.img"},
	} {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // the machine has another C library
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out)
		}
	}
	return nil
}

// A machine is an emulated machine whose hardware clock can be advanced.
type machine struct {
	clock   string // the file with the clock's offset
	monitor string // the monitor's socket
	log     bool
}

// pass advances the hardware clock by d.
func (m *machine) pass(d time.Duration) error {
	return os.WriteFile(m.clock, fmt.Appendf(nil, "+%d\n", int(d.Seconds())), 0o644)
}

func (m *machine) run(dir, lab string) (int, error) {
	libraries, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(libraries) == 0 {
		return 0, fmt.Errorf("no faketime: apt-get install faketime")
	}
	cmd := exec.Command(
		"qemu-system-x86_64",
		"-M",
		"q35",
		"-accel",
		"tcg,thread=multi",
		"-cpu",
		"max",
		"-smp",
		"2",
		"-m",
		"1024",
		"-display",
		"none",
		"-no-reboot",
		"-nic",
		"none",
		"-serial",
		"stdio",
		"-monitor",
		"unix:"+m.monitor+",server,nowait",
		"-kernel",
		filepath.Join(dir, "vmlinuz"),
		"-initrd",
		filepath.Join(dir, "initrd"),
		"-append",
		"root=/dev/vda rw console=ttyS0 quiet init=/sbin/lab",
		"-drive",
		"file="+filepath.Join(dir, "root.img")+",if=virtio,format=raw,snapshot=on",
		"-drive",
		"file="+lab+",if=virtio,format=raw,snapshot=on",
	)
	cmd.Env = append(
		os.Environ(),
		"LD_PRELOAD="+libraries[0],
		"FAKETIME_TIMESTAMP_FILE="+m.clock,
		"FAKETIME_CACHE_DURATION=1",
		"FAKETIME_DONT_FAKE_MONOTONIC=1",
	)
	cmd.Stderr = os.Stderr
	serial, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	// A hung machine is killed; the tests take minutes.
	defer time.AfterFunc(15*time.Minute, func() { cmd.Process.Kill() }).Stop()
	code := m.listen(serial)
	if err := cmd.Wait(); err != nil && code < 0 {
		return 0, fmt.Errorf("the machine: %w", err)
	}
	if code < 0 {
		return 0, fmt.Errorf("the machine powered off before its tests ended: run with -log for its output")
	}
	return code, nil
}

// listen prints the machine's output, and lets time pass when it sleeps. It returns the exit code of its tests, -1 if
// they did not end.
func (m *machine) listen(serial io.Reader) int {
	code, tests := -1, m.log
	for lines := bufio.NewScanner(serial); lines.Scan(); {
		line := strings.TrimRight(lines.Text(), "\r")
		tests = tests || strings.HasPrefix(line, "=== RUN")
		if text, is := strings.CutPrefix(line, sleepsFor); is {
			if err := m.sleep(text); err != nil {
				fmt.Fprintln(os.Stderr, "waking the machine:", err)
			}
		} else if text, is := strings.CutPrefix(line, endedWith); is {
			fmt.Sscan(text, &code)
			m.ask("quit") // after a suspend it does not always power off by itself
		} else if tests {
			fmt.Println(line)
		}
	}
	return code
}

// sleep waits until the machine sleeps, lets the time pass and wakes it.
func (m *machine) sleep(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	for {
		status, err := m.ask("info status")
		if err != nil {
			return err
		}
		if strings.Contains(status, "suspended") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := m.pass(d); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // the library reads the file once a second
	_, err = m.ask("system_wakeup")
	return err
}

// ask sends a command to the emulator's monitor and returns the output.
func (m *machine) ask(command string) (string, error) {
	conn, err := net.Dial("unix", m.monitor)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	said, _ := io.ReadAll(conn) // until the deadline: it keeps the connection open
	return string(said), nil
}
