package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A reader is the user that the daemon runs as.
type reader struct {
	name   string
	uid    int   // -1: made up by systemd when the unit starts, so no file belongs to it
	groups []int // nil: not known
}

// secrets reports files with passwords that the daemon's user cannot read: it does not start with these. As root,
// neither doctor nor config check would notice that otherwise.
func (e *examination) secrets(context.Context) (all []Finding) {
	who, known := e.reader()
	if !known {
		return nil
	}
	for _, file := range e.Config.SecretFiles() {
		// systemd gives a credential to the unit's user by other means than its mode.
		if strings.HasPrefix(file, "/run/credentials/") {
			continue
		}
		info, err := fs.Stat(e.Root, strings.TrimPrefix(file, "/"))
		if err != nil || e.readable(file, info, who) {
			continue
		}
		all = append(all, newFinding("secrets", Fault, fmt.Sprintf("the user of the daemon (%s) cannot read %s (mode %v), "+
			"which the configuration names: the daemon cannot start", who.name, file, info.Mode().Perm()),
			e.passOn(file, who)...))
	}
	return all
}

// reader returns the user of the daemon that runs, or else of the unit that would start it.
func (e *examination) reader() (reader, bool) {
	switch {
	case e.daemon != nil && e.daemon.uid >= 0:
		return e.daemonReader(), true
	case e.own.unmanaged || e.own.load == "":
		return reader{}, false
	case e.own.user:
		return reader{account(e.UID), e.UID, nil}, true
	case e.own.dynamic:
		return reader{e.own.account, -1, nil}, true
	}
	u, err := user.Lookup(e.own.account)
	if err != nil {
		return reader{}, false
	}
	uid, err := strconv.Atoi(u.Uid)
	return reader{u.Username, uid, nil}, err == nil
}

// daemonReader returns the user of the daemon that runs.
func (e *examination) daemonReader() reader {
	return reader{account(e.daemon.uid), e.daemon.uid, e.groups(e.daemon.pid)}
}

// groups returns the groups of a process, or nil if they cannot be read.
func (e *examination) groups(pid int) (all []int) {
	text, _ := fs.ReadFile(e.Root, fmt.Sprintf("proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		name, ids, _ := strings.Cut(line, ":")
		if name != "Gid" && name != "Groups" {
			continue
		}
		for id := range strings.FieldsSeq(ids) {
			if gid, err := strconv.Atoi(id); err == nil {
				all = append(all, gid)
			}
		}
	}
	return all
}

// readable reports whether who can read file, as far as modes and owners tell. If that depends on groups that are not
// known, it reports true: doctor reports no fault that it has not seen.
func (e *examination) readable(file string, info fs.FileInfo, who reader) bool {
	if who.uid == 0 {
		return true
	}
	for dir := path.Dir(strings.TrimPrefix(file, "/")); dir != "."; dir = path.Dir(dir) {
		if above, err := fs.Stat(e.Root, dir); err == nil && !who.has(above, 0o1) {
			return false
		}
	}
	return who.has(info, 0o4)
}

// has reports whether who has this permission: 4 to read, 1 to enter a directory.
func (who reader) has(info fs.FileInfo, permission fs.FileMode) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && who.uid == int(stat.Uid):
		return info.Mode()&(permission<<6) != 0
	case info.Mode()&permission != 0:
		return true
	case info.Mode()&(permission<<3) == 0:
		return false
	}
	return who.groups == nil || ok && slices.Contains(who.groups, int(stat.Gid))
}

// passOn returns the changes that let the daemon read file, and nobody else: systemd passes it on as a credential.
func (e *examination) passOn(file string, who reader) []Change {
	if e.own.unmanaged || e.own.load == "" || e.own.user {
		return []Change{run("chown " + who.name + " " + file)}
	}
	name := path.Base(file)
	return append([]Change{write(e.configFile(), "/run/credentials/"+e.own.name+"/"+name+" # in place of "+file)},
		e.own.dropIn(name+".conf", "[Service]", "LoadCredential="+name+":"+file)...)
}
