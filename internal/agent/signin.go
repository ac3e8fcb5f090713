package agent

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/probe"
)

// SignedInBy returns an Agent's SignedIn that reads files and variables alone, and runs nothing. modeOf returns the
// mode that they show with that home; signedOut is the error if nobody is signed in.
func SignedInBy(modeOf func(home string) Mode, signedOut error) func(context.Context, string, string) error {
	return func(_ context.Context, _, home string) error {
		if modeOf(home) == SignedOut {
			return signedOut
		}
		return nil
	}
}

// renewsBefore is how long before its end a sign-in is taken as due: claude renews it some minutes before.
const renewsBefore = 10 * time.Minute

// CanRenew returns why the agent could not save a renewed sign-in in the file at path, or nil if it can, or if it need
// not. The sign-in lasts until expires.
func (p Program) CanRenew(path string, expires, now time.Time) error {
	due := expires.Before(now.Add(renewsBefore))
	if err := unix.Access(path, unix.W_OK); err != nil && due {
		return probe.Failf(probe.ExecHomeUnwritable, "%s: %w: %s must be able to write it, or a renewed sign-in is lost; "+
			"run as its owner, and leave it writable in the unit (ReadWritePaths=)", path, err, p.Name)
	}
	return nil
}
