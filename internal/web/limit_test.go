package web

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/metrics"
)

// serveLimited is a daemon's listener with nothing behind it but a small page and a large one.
func serveLimited() int {
	debug.SetGCPercent(50) // as the daemon does
	listeners, err := Listen(Config{Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		return 1
	}
	collect := make(chan os.Signal, 1)
	signal.Notify(collect, syscall.SIGUSR1)
	go func() {
		for range collect {
			debug.FreeOSMemory()
		}
	}()
	fmt.Println(listeners[0].Addr())
	page := bytes.Repeat([]byte("netwatchd_probe_success 1\n"), 1<<18)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // it ends with the test
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			w.Write(page)
		}
	})
	if err := Serve(ctx, listeners, Config{}, h, slog.New(slog.DiscardHandler)); err != nil {
		return 1
	}
	return 0
}

// startLimited runs serveLimited with that many descriptors.
func startLimited(t *testing.T, descriptors int) (address string, pid int) {
	t.Helper()
	server := exec.Command("sh", "-c", fmt.Sprintf("ulimit -n %d; exec %s", descriptors, os.Args[0]))
	server.Env = append(os.Environ(), "NETWATCHD_TEST_LIMITED=1")
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		server.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), server.Process.Pid
}

// resident returns a process's resident memory, in octets.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var kilobytes int
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kilobytes); err == nil {
			return kilobytes << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// lowest returns a process's resident memory once it is within budget, or else the least that it had. The process
// collects its garbage first: that of the connections that were replaced stays until the next collection, which comes
// with the next rounds of a daemon, and never in a process that does nothing else. How much it is depends on how far the
// collector lags behind a burst on a busy machine.
func lowest(t *testing.T, pid, budget int) int {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	least := resident(t, pid)
	for until := time.Now().Add(slowReader / 2); least > budget && time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		least = min(least, resident(t, pid))
	}
	return least
}

// Five thousand connections that do nothing, or everything slowly, cost at most 20 MB, and the page is still served.
func TestFiveThousandConnections(t *testing.T) {
	const many = 5000
	budget := 20_000_000
	if raced {
		budget *= 6 // the race detector takes five to ten times the memory (go.dev/doc/articles/race_detector)
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); limit.Cur < many+100 {
		t.Skipf("needs %d descriptors: ulimit -n", many+100)
	}
	for name, send := range map[string]string{
		"silent":         "",
		"half a request": "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 8<<10),
		"kept alive":     "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"slow readers":   "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			address, pid := startLimited(t, 4096)
			get(t, http.DefaultClient, "http://"+address+"/")
			before := resident(t, pid)
			for range many {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				io.WriteString(conn, send) // it may be closed already
			}
			cost := lowest(t, pid, before+budget) - before
			t.Logf("%d connections cost %.1f MB", many, float64(cost)/1e6)
			if cost > budget {
				t.Errorf("%.1f MB, want at most %.1f MB", float64(cost)/1e6, float64(budget)/1e6)
			}
			client := &http.Client{Transport: &http.Transport{}, Timeout: 2 * slowReader}
			for until := time.Now().Add(2 * slowReader); ; time.Sleep(100 * time.Millisecond) {
				resp, err := client.Get("http://" + address + "/")
				if err == nil {
					resp.Body.Close()
					break
				}
				if name != "slow readers" || time.Now().After(until) {
					t.Fatalf("the page is not served: %v", err)
				}
			}
		})
	}
}

// Of few descriptors, most stay free for other parts of the daemon.
func TestConnectionsLeaveDescriptors(t *testing.T) {
	address, pid := startLimited(t, 200)
	for range 400 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	get(t, http.DefaultClient, "http://"+address+"/")
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil || len(open) > 100 {
		t.Errorf("%d of 200 descriptors are in use (%v), want at most half", len(open), err)
	}
}

// A connection above the limit replaces the one that has waited longest, not one that is being served.
func TestLimiterReplaces(t *testing.T) {
	l := newLimiter(2, nil)
	busy, idle := net.Pipe()
	late, _ := net.Pipe()
	l.add(busy)
	l.mark(busy, 1)
	l.add(idle)
	if !l.add(late) {
		t.Error("the new connection was refused although one was idle")
	}
	if _, err := idle.Write(nil); err != io.ErrClosedPipe {
		t.Errorf("the idle connection was not closed: %v", err)
	}
	l.mark(late, 1)
	another, _ := net.Pipe()
	if l.add(another) {
		t.Error("a third connection was accepted although two are being served")
	}
	l.conns[late].since = time.Now().Add(-slowReader)
	if !l.add(another) {
		t.Error("the new connection was refused although one reads slowly")
	}
	if want := (metrics.Connections{Open: 2, Limit: 2, Closed: 3}); l.Connections() != want {
		t.Errorf("got %+v, want %+v", l.Connections(), want)
	}
	l.connState(busy, http.StateClosed)
	l.connState(another, http.StateClosed)
	if len(l.conns) != 0 {
		t.Errorf("%d connections are left", len(l.conns))
	}
}

// If no descriptor is left, the shortage is reported and an idle connection makes room.
func TestLimiterMakesRoom(t *testing.T) {
	var reported error
	l := newLimiter(10, func(err error) { reported = err })
	idle, _ := net.Pipe()
	l.add(idle)
	_, err := limitedListener{exhausted{}, l}.Accept()
	if err == nil || reported == nil || len(l.conns) != 0 {
		t.Errorf("got %v, reported %v, %d connections left", err, reported, len(l.conns))
	}
}

// exhausted is a listener of a process without free descriptors.
type exhausted struct{ net.Listener }

func (exhausted) Accept() (net.Conn, error) {
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
}
