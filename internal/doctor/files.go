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

	"netwatchd/internal/causes"
	"netwatchd/internal/humanize"
	"netwatchd/internal/statusfile"
	"netwatchd/internal/watch"
)

// configFile returns the file for a setting: the one in use, or the first that would be read.
func (e *examination) configFile() string {
	if e.Config.Path != "" {
		return e.Config.Path
	}
	return "/etc/netwatchd/config.yaml"
}

func (e *examination) configuration(context.Context) []Finding {
	const check = "configuration"
	if e.Config.Path == "" {
		return one(check, OK, "built-in defaults; no file is needed")
	}
	info, err := fs.Stat(e.Root, strings.TrimPrefix(e.Config.Path, "/"))
	if err != nil || e.daemon == nil || e.daemon.uid < 0 {
		return one(check, OK, e.Config.Path+" is valid")
	}
	if who := e.daemonReader(); !e.readable(e.Config.Path, info, who) {
		fix := "chmod a+r " + e.Config.Path
		if who.has(info, 0o4) {
			fix = "namei -l " + e.Config.Path + " # " + who.name + " cannot enter a directory above it"
		}
		return one(check, Fault, fmt.Sprintf("%s is valid, but the daemon's user (%s) cannot read it (mode %v)",
			e.Config.Path, who.name, info.Mode().Perm()), run(fix))
	}
	return one(check, OK, e.Config.Path+" is valid")
}

// permissions reports files of the configuration that other users can change, or whose secrets they can read.
func (e *examination) permissions(context.Context) (all []Finding) {
	for _, warning := range e.Config.PermissionWarnings() {
		all = append(all, one("permissions", Fault, warning.What, run(warning.Command))...)
	}
	return all
}

// exposure reports a page that others can read: netwatchd shows a host's network, its nameservers and its services.
func (e *examination) exposure(context.Context) []Finding {
	warning := e.Config.Web.ExposureWarning(e.Config.Web.Listen)
	if warning == "" {
		return nil
	}
	return append(one("web", Advice, warning, run("netwatchd run --web.listen-address=127.0.0.1:19405")), e.token()...)
}

// token reports the file with the token that other hosts need to change something, because there is no authentication.
func (e *examination) token() []Finding {
	file := e.Config.TokenFile()
	info, err := fs.Stat(e.Root, strings.TrimPrefix(file, "/"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.runs():
		return one("web", Fault, "requests from other hosts that change something are refused: "+file+" does not exist",
			run(e.own.command("restart")))
	case err == nil && info.Mode()&0o077 != 0 && e.Config.Web.TokenFile == "": // a configured one may have a group
		return one("web", Fault, fmt.Sprintf("other users can read the token in %s (mode %v); the daemon makes a new one "+
			"when it starts", file, info.Mode().Perm()), run(e.own.command("restart")))
	}
	return one("web", Note, "requests from other hosts that change something need the token in "+file)
}

func (e *examination) statusFile(context.Context) []Finding {
	const check = "status file"
	file, status, age, err := e.newest()
	switch {
	case err != nil:
		return one(check, Fault, err.Error(), run("ls -ld "+path.Dir(file), "ls -l "+file))
	case status == nil:
		return e.noStatusFile()
	case age > staleStatus:
		return one(check, Fault, fmt.Sprintf("%s is %s old: the daemon that wrote it has stopped", file, humanize.Span(age)),
			e.restart())
	}
	if info, err := fs.Stat(e.Root, strings.TrimPrefix(file, "/")); err == nil && info.Mode()&0o004 == 0 {
		return one(check, Fault, fmt.Sprintf("%s is not world-readable (mode %v): "+
			"processes in an agent's sandbox have no other way to see the status", file, info.Mode().Perm()),
			run("chmod a+r "+file))
	}
	return one(check, OK, file+" is up to date and world-readable, also from an agent's sandbox")
}

// newest returns the status file that was written last, if there is one. It returns an error only if no file can be
// read.
func (e *examination) newest() (file string, latest *watch.Status, age time.Duration, err error) {
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

// noStatusFile reports why there is no status file. It reports nothing if no daemon runs: the daemon check does.
func (e *examination) noStatusFile() []Finding {
	const check = "status file"
	keep := write(e.configFile(), "status_file: /run/netwatchd/status.json")
	switch {
	case !e.runs():
		return nil
	case e.Config.StatusFile == "":
		return one(check, Advice, "disabled: netwatchd check cannot show the host's status to an agent in its sandbox",
			keep)
	case e.starting():
		return one(check, Note, e.Config.StatusFile+" does not exist yet: the first round is still running")
	}
	return one(check, Fault, "missing although a daemon runs: looked for "+strings.Join(e.Config.StatusFiles(), ", "),
		keep, e.restart())
}

// starting reports whether the daemon's first round is still running.
func (e *examination) starting() bool {
	s := e.answer.status
	if s == nil {
		return false
	}
	return slices.ContainsFunc(s.Services, func(s watch.ServiceStatus) bool { return s.Cause == causes.Starting })
}

// staleStatus is four missed writes: the daemon writes the file every 15 s.
const staleStatus = time.Minute

// storage relies on the daemon's metrics: its unit decides where it keeps its history, and as which user. If no
// daemon runs, only the directory can be checked.
func (e *examination) storage(ctx context.Context) []Finding {
	const check = "storage"
	dir := e.Config.Storage.Path
	if e.answer.status != nil {
		failures, _, err := e.metric(ctx, "netwatchd_store_errors_total")
		switch {
		case err != nil:
			return one(check, Unknown, err.Error())
		case failures > 0:
			return one(check, Fault, fmt.Sprintf("writing history failed %.0f times since the daemon started", failures),
				run(append(e.ownLog("store"), "netwatchd store check")...))
		}
		return one(check, OK, "the daemon writes its history without errors")
	}
	info, err := fs.Stat(e.Root, strings.TrimPrefix(dir, "/"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return one(check, Note, dir+" does not exist yet: the daemon creates it")
	case err != nil:
		return one(check, Unknown, err.Error(), run("sudo netwatchd doctor"))
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && e.UID != 0 && int(stat.Uid) != e.UID {
		return one(check, Fault, fmt.Sprintf("%s belongs to %s: a daemon run by this user cannot write its history",
			dir, account(int(stat.Uid))),
			run("sudo chown -R "+account(e.UID)+" "+dir))
	}
	return one(check, OK, dir+" exists")
}
