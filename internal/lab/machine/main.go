// Machine runs the laboratory's scenes that take a whole machine (a clock that is set, sleep) in one that is emulated, with
// no network but its own. hack/machine makes it.
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

// What the machine says when it is about to sleep, and how its tests ended.
const (
	sleepsFor = "machine: sleeps for "
	endedWith = "machine: ended with "
)

// first is the machine's first process. There is no other but what the laboratory starts.
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
	dir := flag.String("dir", ".cache/machine", "where hack/machine put it")
	log := flag.Bool("log", false, "show the kernel's words as well")
	pattern := flag.String("run", "", "only the scenes that match, as go test has it")
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

// payload makes the disk with what is tested.
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

// A machine is one that is emulated, with a clock on its board that can be told that time has passed.
type machine struct {
	clock   string // the file that says by how much
	monitor string // its socket
	log     bool
}

// pass has that much time pass on the board, beside what does anyway.
func (m *machine) pass(d time.Duration) error {
	return os.WriteFile(m.clock, fmt.Appendf(nil, "+%d\n", int(d.Seconds())), 0o644)
}

func (m *machine) run(dir, lab string) (int, error) {
	libraries, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(libraries) == 0 {
		return 0, fmt.Errorf("no faketime: apt-get install faketime")
	}
	cmd := exec.Command("qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024",
		"-display", "none", "-no-reboot", "-nic", "none", "-serial", "stdio", "-monitor", "unix:"+m.monitor+",server,nowait",
		"-kernel", filepath.Join(dir, "vmlinuz"), "-initrd", filepath.Join(dir, "initrd"),
		"-append", "root=/dev/vda rw console=ttyS0 quiet init=/sbin/lab",
		"-drive", "file="+filepath.Join(dir, "root.img")+",if=virtio,format=raw,snapshot=on",
		"-drive", "file="+lab+",if=virtio,format=raw,snapshot=on")
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+libraries[0], "FAKETIME_TIMESTAMP_FILE="+m.clock, "FAKETIME_CACHE_DURATION=1",
		"FAKETIME_DONT_FAKE_MONOTONIC=1")
	cmd.Stderr = os.Stderr
	serial, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	// Minutes are enough; what hangs is not waited for.
	defer time.AfterFunc(15*time.Minute, func() { cmd.Process.Kill() }).Stop()
	code := m.listen(serial)
	if err := cmd.Wait(); err != nil && code < 0 {
		return 0, fmt.Errorf("the machine: %w", err)
	}
	if code < 0 {
		return 0, fmt.Errorf("the machine went off before its tests had ended: see what it says with -log")
	}
	return code, nil
}

// listen shows what the machine says, and lets time pass when it sleeps. It returns how its tests ended, -1 if they did not.
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
			m.ask("quit") // once it has slept it does not always go off by itself
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
	time.Sleep(2 * time.Second) // the library looks at the file once a second
	_, err = m.ask("system_wakeup")
	return err
}

// ask gives the emulator's monitor a command and returns what it says.
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
	said, _ := io.ReadAll(conn) // until the deadline: it does not hang up
	return string(said), nil
}
