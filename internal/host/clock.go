package host

import (
	"time"

	"golang.org/x/sys/unix"
)

// A Clock notices that the host slept, and that its clock was set. Linux keeps three clocks (clock_gettime(2)):
//
//   - CLOCK_MONOTONIC counts the time awake: it stands still while the host sleeps. Go's timers and deadlines run on it;
//   - CLOCK_BOOTTIME is the same with the sleep counted in;
//   - CLOCK_REALTIME is the time of day: it has the sleep counted in, and jumps when someone sets it.
//
// So boot running ahead of monotonic is sleep, and the wall clock leaving boot is a step. NTP's slow corrections turn all
// three at once and show in neither.
//
// It is used by one goroutine.
type Clock struct {
	// The clocks, as time since an epoch of their own; nil means the kernel's.
	Monotonic, Boot, Wall func() time.Duration

	last *reading
}

type reading struct{ monotonic, boot, wall time.Duration }

// jitter is what three clocks read one after the other may differ by without anything having happened: the reader may lose
// the processor in between. Sleep or steps of less than a second upset nothing here.
const jitter = time.Second

// resumed is the forward step of the wall clock from which on it is held to be a sleep that no other clock saw. A virtual
// machine that is paused (WSL2 when Windows sleeps, a saved guest) stops with all its clocks, CLOCK_BOOTTIME included; only
// the wall clock is put right afterwards, by the hypervisor or by NTP. Corrections of a clock that runs are far below ten
// seconds, and sleep of less leaves connections and leases alive. A person who sets the clock forward is mistaken for a
// sleep, which costs a moment's grace; mistaking a sleep for a set clock would cost a false alarm.
const resumed = 10 * time.Second

// Jump returns how long the host slept and by how much its wall clock was set, forward or back, since the last call. The
// first call returns zeros.
func (c *Clock) Jump() (suspended, stepped time.Duration) {
	now := c.read()
	last := c.last
	c.last = &now
	if last == nil {
		return 0, 0
	}
	boot := now.boot - last.boot
	suspended = boot - (now.monotonic - last.monotonic)
	stepped = now.wall - last.wall - boot
	if stepped.Abs() < jitter {
		stepped = 0
	}
	switch {
	case suspended >= jitter:
		return suspended, stepped
	case stepped >= resumed:
		return stepped, 0
	}
	return 0, stepped
}

func (c *Clock) read() reading {
	return reading{
		monotonic: ask(c.Monotonic, unix.CLOCK_MONOTONIC),
		boot:      ask(c.Boot, unix.CLOCK_BOOTTIME),
		wall:      ask(c.Wall, unix.CLOCK_REALTIME),
	}
}

func ask(clock func() time.Duration, id int32) time.Duration {
	if clock != nil {
		return clock()
	}
	var t unix.Timespec
	// It fails only for a clock the kernel does not have; CLOCK_BOOTTIME came with Linux 2.6.39.
	_ = unix.ClockGettime(id, &t)
	return time.Duration(t.Nano())
}
