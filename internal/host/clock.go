package host

import (
	"time"

	"golang.org/x/sys/unix"
)

// A Clock detects that the host slept and that its wall clock was set. Linux keeps three clocks (clock_gettime(2)):
//
//   - CLOCK_MONOTONIC counts the time awake and stops while the host sleeps. Go's timers and deadlines use it.
//   - CLOCK_BOOTTIME also counts the time asleep.
//   - CLOCK_REALTIME is the time of day. It also counts the time asleep, and it jumps when someone sets it.
//
// If boot time advances more than monotonic time, the host slept; if wall time and boot time drift apart, the clock
// was set. NTP's gradual corrections change the rate of all three clocks and are not detected.
//
// A Clock must be used by one goroutine only.
type Clock struct {
	// The clocks, each as time since its own epoch; nil means the kernel's clock.
	Monotonic, Boot, Wall func() time.Duration

	last *reading
}

type reading struct{ monotonic, boot, wall time.Duration }

// jitter is how far the three clocks may differ although nothing happened: they are read one after the other, and the
// reader may be preempted in between. A sleep or step of less than a second does no harm.
const jitter = time.Second

// vmPause is the forward step of the wall clock that counts as a sleep which the other clocks missed. A paused
// virtual machine (WSL2 while Windows sleeps, a saved guest) stops all its clocks, CLOCK_BOOTTIME too; afterwards the
// hypervisor or NTP corrects the wall clock only. Corrections of a running clock are far below ten seconds, and a
// shorter sleep leaves connections and leases alive. If a person sets the clock forward, that looks like a sleep and
// costs a short grace period; taking a sleep for a set clock would cost a false alarm.
const vmPause = 10 * time.Second

// Jump returns how long the host slept and by how much its wall clock was set, forward or back, since the last call.
// The first call returns zeros.
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
	case stepped >= vmPause:
		return stepped, 0
	}
	return 0, stepped
}

func (c *Clock) read() reading {
	return reading{
		monotonic: readClock(c.Monotonic, unix.CLOCK_MONOTONIC),
		boot:      readClock(c.Boot, unix.CLOCK_BOOTTIME),
		wall:      readClock(c.Wall, unix.CLOCK_REALTIME),
	}
}

func readClock(clock func() time.Duration, id int32) time.Duration {
	if clock != nil {
		return clock()
	}
	var t unix.Timespec
	// This fails only for a clock that the kernel lacks; CLOCK_BOOTTIME exists since Linux 2.6.39.
	_ = unix.ClockGettime(id, &t)
	return time.Duration(t.Nano())
}
