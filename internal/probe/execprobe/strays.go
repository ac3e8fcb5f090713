package execprobe

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/redact"
)

// A command's processes can leave its process group with setsid(2), as daemons do. So that none is lost, this process
// becomes their subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): whatever loses its parent becomes our child. A variable
// in the environment tells which run it belongs to.
//
// Other packages start commands too, with os/exec, and wait for them: their processes are never touched. They have no
// such variable, and they stay in our session and process group.

// runVariable is the variable that marks the processes of a run.
const runVariable = "NETWATCHD_RUN"

// A run is a command that was started and has not been cleaned up after.
type run struct {
	mark string // NETWATCHD_RUN=…
	pid  int    // of the command, and the number of its process group
}

var runs struct {
	sync.Mutex
	active []*run
}

// adoptOrphans makes this process the subreaper. Without it, on a kernel before 3.4, only the process group is ended.
var adoptOrphans = sync.OnceFunc(func() {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
})

// start starts cmd as a run. No process is looked for meanwhile: between fork and the entry in the list, it would be
// taken for a stray.
func start(cmd *exec.Cmd) (*run, error) {
	adoptOrphans()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	r := &run{mark: fmt.Sprintf("%s=%d-%x", runVariable, os.Getpid(), rand.Uint64())}
	cmd.Env = append(slices.Clip(cmd.Env), r.mark)
	runs.Lock()
	defer runs.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r.pid = cmd.Process.Pid
	runs.active = append(runs.active, r)
	return r, nil
}

// A stray is a process that outlived its command and was killed.
type stray struct {
	pid     int
	name    string
	escaped bool // from the process group
}

func (s stray) String() string { return fmt.Sprintf("%s (pid %d)", redact.Line(s.name, 16), s.pid) }

// endPatience is how long killed processes may take to end. One in an uninterruptible sleep takes longer; a later run
// reaps it.
const endPatience = 200 * time.Millisecond

// end kills what is left of the run and reaps it. The command itself must have been waited for.
func (r *run) end() (killed []stray) {
	defer func() {
		runs.Lock()
		defer runs.Unlock()
		runs.active = slices.DeleteFunc(runs.active, func(other *run) bool { return other == r })
	}()
	for until := time.Now().Add(endPatience); ; time.Sleep(2 * time.Millisecond) {
		left := r.killLeft()
		for _, s := range left {
			if !slices.ContainsFunc(killed, func(k stray) bool { return k.pid == s.pid }) {
				killed = append(killed, s)
			}
		}
		if len(left) == 0 || time.Now().After(until) {
			return killed
		}
	}
}

// killLeft kills every process that is left of the run, and reaps those that have ended.
func (r *run) killLeft() (killed []stray) {
	runs.Lock()
	defer runs.Unlock()
	all := processes()
	if slices.ContainsFunc(all, func(p process) bool { return p.group == r.pid && !p.dead }) {
		_ = syscall.Kill(-r.pid, syscall.SIGKILL) // all of them at once: one may be about to fork
	}
	self, session, group := os.Getpid(), unixSession(), syscall.Getpgrp()
	ours := make(map[int]bool) // what is left of this run
	for _, p := range all {
		switch {
		case p.parent != self || isCommand(p.pid):
		case p.dead && (p.group != group || p.session != session):
			_, _ = syscall.Wait4(p.pid, nil, syscall.WNOHANG, nil)
		case !p.dead && r.isLeft(p, session):
			ours[p.pid] = true
		}
	}
	for grown := len(ours) > 0; grown; { // their children, whose order in the list is not known
		grown = false
		for _, p := range all {
			if !p.dead && ours[p.parent] && !ours[p.pid] {
				ours[p.pid], grown = true, true
			}
		}
	}
	for _, p := range all {
		inGroup := p.group == r.pid && !p.dead // without a subreaper it has another parent
		if inGroup || ours[p.pid] && syscall.Kill(p.pid, syscall.SIGKILL) == nil {
			killed = append(killed, stray{p.pid, p.name, p.group != r.pid})
		}
	}
	return killed
}

// isLeft reports whether p, an orphan or a child of this process, is left of this run, or of one that is over. A
// process that has cleared its environment is known by its session; while other runs are under way, it may be theirs.
func (r *run) isLeft(p process, session int) bool {
	if p.group == r.pid {
		return true
	}
	if mark := markOf(p.pid); mark != "" {
		return mark == r.mark || !slices.ContainsFunc(runs.active, func(other *run) bool { return other.mark == mark })
	}
	return p.session != session && len(runs.active) == 1
}

// isCommand reports whether pid is a command that a run waits for.
func isCommand(pid int) bool {
	return slices.ContainsFunc(runs.active, func(r *run) bool { return r.pid == pid })
}

// markOf returns the variable that marks a process as one of a run of this process.
func markOf(pid int) string {
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	prefix := fmt.Sprintf("%s=%d-", runVariable, os.Getpid())
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.HasPrefix(entry, []byte(prefix)) {
			return string(entry)
		}
	}
	return ""
}

func unixSession() int {
	session, err := unix.Getsid(0)
	if err != nil {
		return -1
	}
	return session
}

// A process as /proc/PID/stat has it.
type process struct {
	pid, parent, group, session int
	name                        string
	dead                        bool // a zombie
}

// processes lists the processes of this host, or of this PID namespace.
func processes() []process {
	entries, err := os.ReadDir("/proc")
	if self, _ := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return nil // the numbers of another PID namespace, as in a sandbox that has kept the host's /proc
	}
	var all []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat"); err == nil {
			all = append(all, parseStat(pid, string(stat)))
		}
	}
	return all
}

// parseStat reads "pid (name) state ppid pgrp session …" of proc_pid_stat(5). The name may hold spaces and brackets.
func parseStat(pid int, stat string) process {
	p := process{pid: pid}
	from, to := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if from < 0 || to < from {
		return p
	}
	p.name = stat[from+1 : to]
	fields := strings.Fields(stat[to+1:])
	if len(fields) < 4 {
		return p
	}
	p.dead = fields[0] == "Z" || fields[0] == "X"
	p.parent, _ = strconv.Atoi(fields[1])
	p.group, _ = strconv.Atoi(fields[2])
	p.session, _ = strconv.Atoi(fields[3])
	return p
}
