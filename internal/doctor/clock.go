package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"netwatchd/internal/causes"
)

// maxDrift is how far the system clock may be from the hardware clock, which counts whole seconds and is read a
// little later.
const maxDrift = 5 * time.Second

func (e *examination) clock(context.Context) []Finding {
	const check = "clock"
	if s := e.answer.status; s != nil {
		for _, service := range s.Services {
			if service.Cause == causes.Clock {
				return one(check, Fault, service.Title, e.setClock())
			}
		}
	}
	if behind, ok := e.behindHardware(); ok && behind.Abs() > maxDrift {
		message := fmt.Sprintf("%v off the hardware clock; this happens when Windows sleeps", behind.Round(time.Second))
		return one(check, Fault, message,
			append([]Change{run("sudo hwclock -s")}, e.enableNTP()...)...)
	}
	synchronized, err := e.Synchronized()
	switch {
	case err != nil:
		return one(check, Unknown, err.Error())
	case synchronized:
		return one(check, OK, "synchronized")
	case e.wsl.WSL:
		return one(check, Advice, "agrees with the hardware clock, but nothing synchronizes it: "+
			"it can be hours off after Windows sleeps",
			e.enableNTP()...)
	}
	return one(check, Unknown, "nothing synchronizes the clock, so it may be wrong", e.setClock())
}

// behindHardware returns how far the system clock is behind the hardware clock. It reports false outside WSL, where
// the hardware clock may keep local time; under WSL it is Windows' clock in UTC.
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
