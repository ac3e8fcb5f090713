package host

import (
	"testing"
	"time"
)

func TestClockJump(t *testing.T) {
	const second, hour = time.Second, time.Hour
	type advance struct{ monotonic, boot, wall time.Duration }
	type jump struct{ suspended, stepped time.Duration }
	for _, tt := range []struct {
		name     string
		advances []advance
		want     []jump
	}{
		{"nothing", []advance{{30 * second, 30 * second, 30 * second}}, []jump{{}}},
		{"an hour's sleep", []advance{{30 * second, hour + 30*second, hour + 30*second}, {second, second, second}}, []jump{{hour, 0}, {}}},
		{"set forward by NTP", []advance{{30 * second, 30 * second, 33 * second}}, []jump{{0, 3 * second}}},
		{"set back", []advance{{30 * second, 30 * second, -hour}}, []jump{{0, -hour - 30*second}}},
		{"slept, then found its clock wrong", []advance{{30 * second, hour, hour + 5*second}}, []jump{{hour - 30*second, 5 * second}}},
		{"the virtual machine slept, the wall clock was corrected", []advance{{30 * second, 30 * second, hour}}, []jump{{hour - 30*second, 0}}},
		{"WSL slept, the wall clock was corrected an hour later", []advance{{2 * second, 2 * second, 2 * second},
			{hour, hour, hour}, {second, second, 9*hour + second}}, []jump{{}, {}, {9 * hour, 0}}},
		{"a slow drift", []advance{{hour, hour, hour + second/2}, {hour, hour, hour + second/2}, {hour, hour, hour + second/2}},
			[]jump{{}, {}, {}}},
		{"preempted between the clocks", []advance{{second, second + second/4, second + second/2}}, []jump{{}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := advance{monotonic: 5 * hour, boot: 7 * hour, wall: 500_000 * hour}
			c := &Clock{
				Monotonic: func() time.Duration { return now.monotonic },
				Boot:      func() time.Duration { return now.boot },
				Wall:      func() time.Duration { return now.wall },
			}
			if suspended, stepped := c.Jump(); suspended != 0 || stepped != 0 {
				t.Errorf("the first call: %v, %v", suspended, stepped)
			}
			for i, a := range tt.advances {
				now = advance{now.monotonic + a.monotonic, now.boot + a.boot, now.wall + a.wall}
				var got jump
				if got.suspended, got.stepped = c.Jump(); got != tt.want[i] {
					t.Errorf("jump %d: got %+v, want %+v", i, got, tt.want[i])
				}
			}
		})
	}
}

func TestKernelClocks(t *testing.T) {
	var c Clock
	r := c.read()
	if r.monotonic <= 0 || r.boot < r.monotonic {
		t.Errorf("monotonic %v, boot %v: boot time counts the time asleep", r.monotonic, r.boot)
	}
	if wall := time.Unix(0, int64(r.wall)); time.Since(wall).Abs() > time.Minute {
		t.Errorf("wall clock %v", wall)
	}
	c.Jump()
	if suspended, stepped := c.Jump(); suspended != 0 || stepped != 0 {
		t.Errorf("nothing happened, got %v, %v", suspended, stepped)
	}
}
