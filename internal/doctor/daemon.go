package doctor

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/metrics"
	"netwatchd/internal/statusfile"
	"netwatchd/internal/watch"
)

// A process is a running `netwatchd run`.
type process struct{ pid, uid int }

// findDaemon looks for it among the processes that share this one's network: those of containers are others' affair.
func (e *examination) findDaemon() *process {
	here, _ := fs.ReadLink(e.Root, "proc/self/ns/net")
	names, _ := fs.Glob(e.Root, "proc/[0-9]*/cmdline")
	for _, name := range names {
		text, err := fs.ReadFile(e.Root, name)
		argv := strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
		if err != nil || filepath.Base(argv[0]) != "netwatchd" || !slices.Contains(argv, "run") {
			continue
		}
		if there, err := fs.ReadLink(e.Root, path.Dir(name)+"/ns/net"); err == nil && there != here {
			continue // where it cannot be seen, which takes the same user or root, it is taken to be here
		}
		pid, _ := strconv.Atoi(path.Base(path.Dir(name)))
		return &process{pid, e.owner(pid)}
	}
	return nil
}

// owner is the user a process runs as; -1 if that cannot be seen.
func (e *examination) owner(pid int) int {
	text, _ := fs.ReadFile(e.Root, fmt.Sprintf("proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if ids, is := strings.CutPrefix(line, "Uid:"); is {
			if fields := strings.Fields(ids); len(fields) > 1 {
				if uid, err := strconv.Atoi(fields[1]); err == nil {
					return uid
				}
			}
		}
	}
	return -1
}

// account is a user as commands take it: by name, or by number where systemd made the user up.
func account(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// readableBy goes by the owner's and everyone's permissions, which is what files under /etc have.
func readableBy(info fs.FileInfo, uid int) bool {
	if stat, is := info.Sys().(*syscall.Stat_t); is && int(stat.Uid) == uid && info.Mode()&0o400 != 0 {
		return true
	}
	return uid == 0 || info.Mode()&0o004 != 0
}

// An answer is what came of asking at the daemon's address.
type answer struct {
	address string
	status  *watch.Status // nil: it was no daemon's
	said    string        // instead
	free    bool          // nobody listens there
	secured bool          // it wants TLS or a password
}

func (e *examination) get(ctx context.Context, address, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", metrics.Doctor)
	return e.Client.Do(request)
}

// ask asks at the first address that the daemon listens on.
func (e *examination) ask(ctx context.Context) answer {
	if len(e.Config.Web.Listen) == 0 {
		return answer{free: true}
	}
	a := answer{address: reachable(e.Config.Web.Listen[0])}
	response, err := e.get(ctx, a.address, "/api/v1/status")
	if err != nil {
		a.free, a.said = errors.Is(err, syscall.ECONNREFUSED), err.Error()
		return a
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, statusLimit))
	var s watch.Status
	switch {
	case response.StatusCode == http.StatusUnauthorized, strings.Contains(string(body), "HTTP request to an HTTPS server"):
		a.secured = true
	case response.StatusCode == http.StatusOK && json.Unmarshal(body, &s) == nil && !s.At.IsZero():
		a.status = &s
	default:
		a.said = "HTTP " + response.Status
	}
	return a
}

// statusLimit is as much as a status file may have.
const statusLimit = 32 << 20

// reachable turns an address to listen on into one to ask at: the wildcard is no address.
func reachable(listen string) string {
	name, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(name); err == nil && (name == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

func (e *examination) running(context.Context) []Finding {
	const check = "daemon"
	a := e.answer
	switch {
	case a.status != nil && a.status.Version != e.Version:
		return []Finding{{check, Fault, fmt.Sprintf("%s is version %s, this program is %s: it was not restarted after the upgrade, or is another file",
			e.whose(), cmp.Or(a.status.Version, "unknown"), e.Version), []Change{run(e.own.command("restart"))}}}
	case a.status != nil:
		return []Finding{{check, Well, fmt.Sprintf("%s answers at %s, version %s", e.whose(), a.address, e.Version), nil}}
	case a.secured:
		return []Finding{{check, Note, "someone answers at " + a.address + " who wants TLS or a password, as web.config_file may: not asked further", nil}}
	case a.free && e.stray != nil:
		return []Finding{{check, Fault, fmt.Sprintf("a daemon runs (pid %d, user %s), but nobody listens at %s: it has another configuration, or is still starting",
			e.stray.pid, account(e.stray.uid), a.address), []Change{run("netwatchd doctor --config.file=FILE # the daemon's own")}}}
	case a.free:
		start := "netwatchd run"
		if e.own.load == "loaded" {
			start = e.own.command("start")
		}
		return []Finding{{check, Fault, "no daemon runs; " + cmp.Or(a.address, "no address") + " is free for it", []Change{run(start)}}}
	}
	return []Finding{{check, Fault, fmt.Sprintf("%s is taken by another program (%s)%s", a.address, a.said, e.byWindows()),
		[]Change{write(e.configFile(), fmt.Sprintf("web: {listen: [%q]}", e.nextPort()))}}}
}

func (e *examination) whose() string {
	if e.daemon == nil {
		return "a daemon"
	}
	return fmt.Sprintf("the daemon (pid %d, user %s)", e.daemon.pid, account(e.daemon.uid))
}

// runs reports whether the daemon of this configuration does.
func (e *examination) runs() bool {
	return e.daemon != nil || e.answer.status != nil || e.answer.secured
}

func (e *examination) nextPort() string {
	name, port, _ := net.SplitHostPort(e.Config.Web.Listen[0])
	n, _ := strconv.Atoi(port)
	return net.JoinHostPort(name, strconv.Itoa(n+1))
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

// prometheus goes by what the daemon has seen: who reads its metrics, nobody else can tell.
func (e *examination) prometheus(ctx context.Context) []Finding {
	const check = "prometheus"
	if e.answer.status == nil {
		return nil
	}
	scrape := write("prometheus.yml", "scrape_configs:", "  - job_name: netwatchd", "    static_configs:", fmt.Sprintf("      - targets: [%q]", e.answer.address))
	at, err := e.lastScrape(ctx)
	switch {
	case err != nil:
		return []Finding{{check, Unknown, err.Error(), nil}}
	case at.IsZero():
		return []Finding{{check, Advice, "nobody has read /metrics since the daemon started", []Change{scrape}}}
	}
	// three scrapes at the longest interval that is usual, a minute
	if ago := e.Now().Sub(at); ago > 3*time.Minute {
		return []Finding{{check, Advice, fmt.Sprintf("/metrics was last read %v ago", ago.Round(time.Second)), []Change{scrape}}}
	}
	return []Finding{{check, Well, fmt.Sprintf("/metrics was read %v ago", e.Now().Sub(at).Round(time.Second)), nil}}
}

// lastScrape is when someone read the metrics; zero: nobody has. An older daemon does not say.
func (e *examination) lastScrape(ctx context.Context) (time.Time, error) {
	response, err := e.get(ctx, e.answer.address, "/metrics")
	if err != nil {
		return time.Time{}, err
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, is := strings.CutPrefix(lines.Text(), "netwatchd_last_scrape_timestamp_seconds "); is {
			seconds, err := strconv.ParseFloat(value, 64)
			return time.UnixMilli(int64(1000 * seconds)), err
		}
	}
	return time.Time{}, nil
}
