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
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/world"
)

var machine = flag.Bool("machine", false, "this machine is of its own, and has no one else's clock (make lab-full)")

// unhurried suits a processor that is emulated, on a machine that does other things as well.
var unhurried = world.Config{Interval: 20 * time.Second, Timeout: 15 * time.Second}

// TestMachine plays what takes a whole machine: its clock is set, and it sleeps. The sites go on in true time meanwhile.
func TestMachine(t *testing.T) {
	if !*machine {
		return
	}
	patience = 3 * time.Minute
	w := newPool(t).borrow(t)
	t.Run("the clock is set a year ahead, and back", func(t *testing.T) {
		d := watching(t, w)
		setClock(t, year)
		w.HostAhead(year)
		d.until("clock")
		setClock(t, -year)
		w.HostAhead(0)
		d.until("healthy")
		d.named("healthy", "suspended", "clock")
	})
	t.Run("it sleeps for an hour during a round", func(t *testing.T) {
		d := watching(t, w)
		d.inARound()
		sleep(t, time.Hour)
		d.away("healthy", "suspended")
	})
	t.Run("it is paused for an hour during a round, as WSL's is", func(t *testing.T) {
		d := watching(t, w)
		d.inARound()
		setClock(t, time.Hour) // all clocks have stood still, and the hypervisor puts that of the day right
		d.away("healthy", "suspended")
	})
}

// A watched is a world with a daemon that has found all well.
type watched struct {
	*parts.Daemon
	t testing.TB
	w *world.World
}

func watching(t testing.TB, w *world.World) watched {
	return watched{begin(t, w, &Scene{Config: unhurried}), t, w}
}

// until waits until that cause stands on attempts that are made from now on.
func (d watched) until(cause string) {
	d.t.Helper()
	from := time.Now()
	d.Await(patience, func() error {
		v, err := read(d.w)
		if err == nil && (v.Cause != cause || !v.after(from)) {
			err = fmt.Errorf("cause %q: %s", v.Cause, v.Title)
		}
		return err
	})
}

var causeLogged = regexp.MustCompile(`"msg":"verdict","service":"codex","cause":"(\w+)"`)

// named wants no other causes in the daemon's log.
func (d watched) named(causes ...string) {
	d.t.Helper()
	for _, line := range causeLogged.FindAllStringSubmatch(d.Said(), -1) {
		if !slices.Contains(causes, line[1]) {
			d.t.Errorf("the daemon named %q, want none but %v", line[1], causes)
		}
	}
}

// inARound waits until an attempt is under way that will be for some seconds.
func (d watched) inARound() {
	d.w.ServiceThinks(5 * time.Second)
	d.w.AwaitRequest()
}

// away waits until all is well after an absence that was noticed, with what straddled it discarded and held against no one.
func (d watched) away(causes ...string) {
	d.t.Helper()
	d.w.ServiceThinks(0)
	d.until("suspended")
	d.until("healthy")
	d.named(causes...)
	suspends, discarded := d.metric("netwatchd_host_suspends_total"), d.metric("netwatchd_host_suspend_discarded_runs_total")
	if suspends != 1 || discarded < 1 {
		d.t.Errorf("%v suspends and %v discarded runs are counted, want 1 and some", suspends, discarded)
	}
	fmt.Printf("%s: %v suspend, %v runs discarded\n", d.t.Name(), suspends, discarded)
}

// metric is the value of a series of the daemon's.
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

// setClock sets this machine's clock forward, or back.
func setClock(t testing.TB, by time.Duration) {
	t.Helper()
	now := unix.NsecToTimeval(time.Now().Add(by).UnixNano())
	if err := unix.Settimeofday(&now); err != nil {
		t.Fatal(err)
	}
}

// sleep suspends this machine to memory. That the time has passed is seen to from outside: see package machine.
func sleep(t testing.TB, d time.Duration) {
	t.Helper()
	fmt.Println("machine: sleeps for", d)
	if out, err := exec.Command("rtcwake", "-m", "mem", "-s", fmt.Sprint(d.Seconds())).CombinedOutput(); err != nil {
		t.Fatalf("rtcwake: %v: %s", err, out)
	}
}
