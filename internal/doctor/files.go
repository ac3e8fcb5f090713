package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/statusfile"
	"netwatchd/internal/watch"
)

// configFile is where a setting goes: into the file in force, or the one that would be read first.
func (e *examination) configFile() string {
	if e.Config.Path != "" {
		return e.Config.Path
	}
	return "/etc/netwatchd/config.yaml"
}

func (e *examination) configuration(context.Context) []Finding {
	const check = "configuration"
	if e.Config.Path == "" {
		return []Finding{{check, Well, "the one built in: there is no file, and none is needed", nil}}
	}
	info, err := fs.Stat(e.Root, strings.TrimPrefix(e.Config.Path, "/"))
	if err == nil && e.daemon != nil && !readableBy(info, e.daemon.uid) {
		return []Finding{{check, Fault, fmt.Sprintf("%s has no faults, but user %d, whom the daemon runs as, may not read it (mode %v)",
			e.Config.Path, e.daemon.uid, info.Mode().Perm()), []Change{run("chmod a+r " + e.Config.Path)}}}
	}
	return []Finding{{check, Well, e.Config.Path + " has no faults", nil}}
}

// readableBy goes by the owner's and everyone's permissions, which is what files under /etc have.
func readableBy(info fs.FileInfo, uid int) bool {
	if stat, is := info.Sys().(*syscall.Stat_t); is && int(stat.Uid) == uid && info.Mode()&0o400 != 0 {
		return true
	}
	return uid == 0 || info.Mode()&0o004 != 0
}

func (e *examination) statusFile(context.Context) []Finding {
	const check = "status file"
	for _, file := range e.Config.StatusFiles() {
		info, err := fs.Stat(e.Root, strings.TrimPrefix(file, "/"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		status, age, err := statusfile.Read(file)
		switch {
		case err != nil:
			return []Finding{{check, Fault, err.Error(), []Change{run("ls -ld "+path.Dir(file), "ls -l "+file)}}}
		case info != nil && info.Mode()&0o004 == 0:
			return []Finding{{check, Fault, fmt.Sprintf("%s may not be read by everyone (mode %v): an agent's sandbox can ask nothing else", file, info.Mode().Perm()),
				[]Change{run("chmod a+r " + file)}}}
		case age > staleStatus:
			return []Finding{{check, Fault, fmt.Sprintf("%s is %v old: the daemon that kept it (%s) has stopped", file, age.Round(time.Second), status.Version),
				[]Change{run(e.own.command("restart"))}}}
		}
		return []Finding{{check, Well, file + " is there for everyone to read, an agent's sandbox included", nil}}
	}
	if !e.runs() {
		return nil // that has been told
	}
	if e.Config.StatusFile == "" {
		return []Finding{{check, Advice, "none is kept: netwatchd check cannot tell an agent in its sandbox what the host sees",
			[]Change{write(e.configFile(), "status_file: /run/netwatchd/status.json")}}}
	}
	if e.starting() {
		return []Finding{{check, Note, e.Config.StatusFile + " is not there yet: the first round is not over", nil}}
	}
	return []Finding{{check, Fault, "there is none, although a daemon runs: not " + strings.Join(e.Config.StatusFiles(), ", nor "),
		[]Change{write(e.configFile(), "status_file: /run/netwatchd/status.json"), run(e.own.command("restart"))}}}
}

// starting reports whether the daemon has not judged anything yet.
func (e *examination) starting() bool {
	s := e.answer.status
	return s != nil && slices.ContainsFunc(s.Services, func(s watch.Standing) bool { return s.Cause == diagnose.Starting })
}

// staleStatus is four renewals missed: the file is written anew every 15 s.
const staleStatus = time.Minute

// daemonUser is whom the daemon runs as, or would if this user started it.
func (e *examination) daemonUser() int {
	if e.daemon != nil && e.daemon.uid >= 0 {
		return e.daemon.uid
	}
	return e.UID
}

func (e *examination) storage(context.Context) []Finding {
	const check = "storage"
	if e.daemon != nil && e.UID != 0 && e.daemon.uid != e.UID {
		return []Finding{{check, Note, "it is user " + account(e.daemon.uid) + "'s, who runs the daemon: sudo netwatchd doctor looks at it", nil}}
	}
	dir := e.Config.Storage.Path
	info, err := fs.Stat(e.Root, strings.TrimPrefix(dir, "/"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && !e.runs():
		return []Finding{{check, Note, dir + " is not there yet: the daemon makes it", nil}}
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{{check, Fault, dir + " is not there although a daemon runs: no history is kept, or it is kept elsewhere",
			[]Change{run("install -d -m 0700 -o " + account(e.daemonUser()) + " " + dir)}}}
	case err != nil:
		return []Finding{{check, Unknown, err.Error(), []Change{run("sudo netwatchd doctor")}}}
	}
	uid := e.daemonUser()
	if stat, is := info.Sys().(*syscall.Stat_t); is && uid != 0 && int(stat.Uid) != uid {
		return []Finding{{check, Fault, fmt.Sprintf("%s belongs to %s, and the daemon runs as %s: no history is kept", dir, account(int(stat.Uid)), account(uid)),
			[]Change{run("chown -R " + account(uid) + " " + dir)}}}
	}
	return []Finding{{check, Well, dir + " belongs to the daemon's user", nil}}
}
