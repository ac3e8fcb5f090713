package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"netwatchd/internal/diagnose"
)

// drift is how far the clock may be from the one of the hardware: that one counts whole seconds, and is read a moment later.
const drift = 5 * time.Second

// ntp is what has a WSL distribution set its clock: its timesyncd is told not to run in containers, and takes WSL for one.
var ntp = []Change{
	write("/etc/systemd/system/systemd-timesyncd.service.d/wsl.conf", "[Unit]", "ConditionVirtualization="),
	run("systemctl daemon-reload", "systemctl enable --now systemd-timesyncd"),
}

func (e *examination) clock(context.Context) []Finding {
	const check = "clock"
	if s := e.answer.status; s != nil {
		for _, standing := range s.Services {
			if standing.Cause == diagnose.Clock {
				return []Finding{{check, Fault, standing.Title, []Change{run("timedatectl set-ntp true")}}}
			}
		}
	}
	if behind, is := e.behindHardware(); is && behind.Abs() > drift {
		return []Finding{{check, Fault, fmt.Sprintf("it is %v off the hardware's, as after Windows slept", behind.Round(time.Second)),
			append([]Change{run("sudo hwclock -s")}, ntp...)}}
	}
	synchronised, err := e.Synchronised()
	switch {
	case err != nil:
		return []Finding{{check, Unknown, err.Error(), nil}}
	case synchronised:
		return []Finding{{check, OK, "it is synchronised", nil}}
	case e.wsl.WSL:
		return []Finding{{check, Advice, "it agrees with the hardware's, but nothing keeps it so: it may be hours off after Windows slept", ntp}}
	}
	return []Finding{{check, Unknown, "nothing synchronises it, so it may be right or not", []Change{run("timedatectl set-ntp true")}}}
}

// behindHardware is how far the clock is behind that of the hardware. Under WSL that is Windows', in UTC; elsewhere it may
// keep local time.
func (e *examination) behindHardware() (time.Duration, bool) {
	if !e.wsl.WSL {
		return 0, false
	}
	text, err := fs.ReadFile(e.Root, "sys/class/rtc/rtc0/since_epoch")
	if err != nil {
		return 0, false
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return time.Unix(seconds, 0).Sub(e.Now()), err == nil
}
