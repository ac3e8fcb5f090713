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
		return []Finding{{check, OK, "the one built in: there is no file, and none is needed", nil}}
	}
	info, err := fs.Stat(e.Root, strings.TrimPrefix(e.Config.Path, "/"))
	if err == nil && e.daemon != nil && !readableBy(info, e.daemon.uid) {
		return []Finding{{check, Fault, fmt.Sprintf("%s has no faults, but user %d, whom the daemon runs as, may not read it (mode %v)",
			e.Config.Path, e.daemon.uid, info.Mode().Perm()), []Change{run("chmod a+r " + e.Config.Path)}}}
	}
	return []Finding{{check, OK, e.Config.Path + " has no faults", nil}}
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
	file, status, age, err := e.youngest()
	switch {
	case err != nil:
		return []Finding{{check, Fault, err.Error(), []Change{run("ls -ld "+path.Dir(file), "ls -l "+file)}}}
	case status == nil:
		return e.noStatusFile()
	case age > staleStatus:
		return []Finding{{check, Fault, fmt.Sprintf("%s is %v old: the daemon that kept it has stopped", file, age.Round(time.Second)),
			[]Change{run(e.own.command("restart"))}}}
	}
	if info, err := fs.Stat(e.Root, strings.TrimPrefix(file, "/")); err == nil && info.Mode()&0o004 == 0 {
		return []Finding{{check, Fault, fmt.Sprintf("%s may not be read by everyone (mode %v): an agent's sandbox can ask nothing else", file, info.Mode().Perm()),
			[]Change{run("chmod a+r " + file)}}}
	}
	return []Finding{{check, OK, file + " is there for everyone to read, an agent's sandbox included", nil}}
}

// youngest is the status file that was written last; none, if there is none. An error is told only where no other can be read.
func (e *examination) youngest() (file string, latest *watch.Status, age time.Duration, err error) {
	for _, candidate := range e.Config.StatusFiles() {
		if !e.exists(strings.TrimPrefix(candidate, "/")) {
			continue
		}
		status, old, failed := statusfile.Read(candidate)
		switch {
		case failed != nil && latest == nil:
			file, err = candidate, failed
		case failed == nil && (latest == nil || old < age):
			file, latest, age, err = candidate, status, old, nil
		}
	}
	return file, latest, age, err
}

// noStatusFile tells why there is none, unless it is that no daemon runs, which has been told.
func (e *examination) noStatusFile() []Finding {
	const check = "status file"
	keep := write(e.configFile(), "status_file: /run/netwatchd/status.json")
	switch {
	case !e.runs():
		return nil
	case e.Config.StatusFile == "":
		return []Finding{{check, Advice, "none is kept: netwatchd check cannot tell an agent in its sandbox what the host sees", []Change{keep}}}
	case e.starting():
		return []Finding{{check, Note, e.Config.StatusFile + " is not there yet: the first round is not over", nil}}
	}
	return []Finding{{check, Fault, "there is none, although a daemon runs: not " + strings.Join(e.Config.StatusFiles(), ", nor "),
		[]Change{keep, run(e.own.command("restart"))}}}
}

// starting reports whether the daemon has not judged anything yet.
func (e *examination) starting() bool {
	s := e.answer.status
	return s != nil && slices.ContainsFunc(s.Services, func(s watch.ServiceStatus) bool { return s.Cause == diagnose.Starting })
}

// staleStatus is four renewals missed: the file is written anew every 15 s.
const staleStatus = time.Minute

// storage goes by what the daemon says: where it keeps its history, and as whom, is its unit's affair. Where none runs there
// is only the directory to look at.
func (e *examination) storage(ctx context.Context) []Finding {
	const check = "storage"
	dir := e.Config.Storage.Path
	if e.answer.status != nil {
		failures, _, err := e.metric(ctx, "netwatchd_store_errors_total")
		switch {
		case err != nil:
			return []Finding{{check, Unknown, err.Error(), nil}}
		case failures > 0:
			return []Finding{{check, Fault, fmt.Sprintf("history could not be kept %.0f times since the daemon started", failures),
				[]Change{run("journalctl -u "+e.own.name+" -n 100 | grep store", "netwatchd store check")}}}
		}
		return []Finding{{check, OK, "the daemon has kept its history without an error", nil}}
	}
	info, err := fs.Stat(e.Root, strings.TrimPrefix(dir, "/"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{{check, Note, dir + " is not there yet: the daemon makes it", nil}}
	case err != nil:
		return []Finding{{check, Unknown, err.Error(), []Change{run("sudo netwatchd doctor")}}}
	}
	if stat, is := info.Sys().(*syscall.Stat_t); is && e.UID != 0 && int(stat.Uid) != e.UID {
		return []Finding{{check, Fault, fmt.Sprintf("%s belongs to %s: a daemon of this user's keeps no history", dir, account(int(stat.Uid))),
			[]Change{run("sudo chown -R " + account(e.UID) + " " + dir)}}}
	}
	return []Finding{{check, OK, dir + " is there", nil}}
}
