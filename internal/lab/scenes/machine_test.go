package scenes

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/world"
)

var machine = flag.Bool("machine", false, "this is an emulated machine, whose clock may be changed (make lab-full)")

// emulatedConfig suits an emulated processor on a busy machine.
var emulatedConfig = world.Config{Interval: 20 * time.Second, Timeout: 15 * time.Second}

// TestMachine plays scenes that need a whole machine: its clock is set, and it sleeps. The servers keep true time.
func TestMachine(t *testing.T) {
	if !*machine {
		t.Skip("not asked for: make lab-full")
	}
	patience = 3 * time.Minute
	w := newPool(t).borrow(t)
	t.Run("the clock is set a year ahead, and back", func(t *testing.T) {
		d := watching(t, w)
		d.unseen(func() { setClock(t, year); w.HostClockAhead(year) })
		d.until("clock")
		d.unseen(func() { setClock(t, -year); w.HostClockAhead(0) })
		d.until("healthy")
		d.wakesNobody()
	})
	t.Run("it sleeps for an hour during a round", func(t *testing.T) {
		d := watching(t, w)
		d.inARound()
		sleep(t, time.Hour)
		d.away()
	})
	t.Run("it is paused for an hour during a round, as WSL's is", func(t *testing.T) {
		d := watching(t, w)
		d.inARound()
		setClock(t, time.Hour) // all clocks have stood still, and the hypervisor puts that of the day right
		d.away()
	})
}

// A watched is a world with a daemon that found it healthy.
type watched struct {
	*parts.Daemon
	t testing.TB
	w *world.World
}

func watching(t testing.TB, w *world.World) watched {
	return watched{begin(t, w, &Scene{Config: emulatedConfig}), t, w}
}

// until waits for a verdict with this cause, based on attempts from now on.
func (d watched) until(cause string) {
	d.t.Helper()
	from := time.Now()
	d.Await(patience, func() error {
		v, err := read(d.w)
		if err == nil && (v.Cause != cause || !v.after(from)) {
			err = fmt.Errorf("cause %q: %s: %+v", v.Cause, v.Title, v.Results)
		}
		return err
	})
}

// unseen changes the world while the daemon is stopped: a clock and a dozen servers cannot change at the same instant.
func (d watched) unseen(change func()) {
	d.Signal(syscall.SIGSTOP)
	defer d.Signal(syscall.SIGCONT)
	change()
}

var logged = regexp.MustCompile(`"msg":"verdict","service":"codex","cause":"(\w+)"`)

// causes are the causes of the daemon's verdicts, in order.
func (d watched) causes() (all []string) {
	for _, line := range logged.FindAllStringSubmatch(d.Said(), -1) {
		all = append(all, line[1])
	}
	return all
}

// wakesNobody fails if any of these causes pages.
func (d watched) wakesNobody() {
	d.t.Helper()
	causes := d.causes()
	if slices.Contains(causes, "upstream") || slices.Contains(causes, "stream") {
		d.t.Errorf("the daemon reported %v: want no page", causes)
	}
	fmt.Printf("%s: %v\n", d.t.Name(), causes)
}

// inARound waits until an attempt is under way that takes some seconds.
func (d watched) inARound() {
	d.w.DelayService(10 * time.Second) // falling asleep takes a while
	d.w.AwaitRequest()
}

// away waits for a healthy verdict after a suspend. Attempts that ran across it must be discarded, and nobody blamed.
func (d watched) away() {
	d.t.Helper()
	d.w.DelayService(0)
	d.Await(patience, func() error {
		if causes := d.causes(); !slices.Contains(causes, "suspended") {
			return fmt.Errorf("causes %v, want suspended among them", causes)
		}
		return nil
	})
	d.until("healthy")
	d.wakesNobody()
	suspends, discarded := d.metric("netwatchd_host_suspends_total"), d.metric("netwatchd_host_suspend_discarded_runs_total")
	if suspends != 1 || discarded < 1 {
		d.t.Errorf("%v suspends and %v discarded runs are counted, want 1 and some", suspends, discarded)
	}
	fmt.Printf("%s: %v suspend, %v runs discarded\n", d.t.Name(), suspends, discarded)
}

// metric is the value of one of the daemon's metrics.
func (d watched) metric(name string) (value float64) {
	d.t.Helper()
	var page []byte
	err := d.w.Host.Do(func() error {
		conn, err := net.Dial("tcp", "127.0.0.1:19405")
		if err != nil {
			return err
		}
		defer conn.Close()
		io.WriteString(conn, "GET /metrics HTTP/1.0\r\n\r\n")
		page, err = io.ReadAll(conn)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if text, is := strings.CutPrefix(line, name+" "); is {
			fmt.Sscan(text, &value)
		}
	}
	return value
}

// setClock moves this machine's clock.
func setClock(t testing.TB, by time.Duration) {
	t.Helper()
	now := unix.NsecToTimeval(time.Now().Add(by).UnixNano())
	if err := unix.Settimeofday(&now); err != nil {
		t.Fatal(err)
	}
}

// sleep suspends this machine to memory. Package machine makes the time pass from outside.
func sleep(t testing.TB, d time.Duration) {
	t.Helper()
	fmt.Println("machine: sleeps for", d)
	if out, err := exec.Command("rtcwake", "-m", "mem", "-s", fmt.Sprint(d.Seconds())).CombinedOutput(); err != nil {
		t.Fatalf("rtcwake: %v: %s", err, out)
	}
}
