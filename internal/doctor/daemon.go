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

	"netwatchd/internal/humanize"
	"netwatchd/internal/metrics"
	"netwatchd/internal/watch"
)

// A process is a running `netwatchd run`.
type process struct{ pid, uid int }

// findDaemons searches the processes in this process's network namespace. It ignores daemons in containers: they do not
// listen at an address of this host.
func (e *examination) findDaemons() (found []process) {
	names, _ := fs.Glob(e.Root, "proc/[0-9]*/cmdline")
	for _, name := range names {
		text, err := fs.ReadFile(e.Root, name)
		argv := strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
		if err != nil || filepath.Base(argv[0]) != "netwatchd" || !slices.Contains(argv, "run") {
			continue
		}
		pid, _ := strconv.Atoi(path.Base(path.Dir(name)))
		answers := e.answer.status != nil && e.answer.status.PID == pid
		if here, known := e.sharesNetwork(path.Dir(name)); here || !known && answers {
			found = append(found, process{pid, e.owner(pid)})
		}
	}
	return found
}

// sharesNetwork reports whether a process, by its directory in /proc, is in the network namespace of this one, and
// whether that is known. Only root and the process's own user can read ns/net. Everyone can stat the files of net/,
// unless /proc is mounted with hidepid: each namespace has its own, with their own inodes (proc_get_inode in Linux).
func (e *examination) sharesNetwork(process string) (shares, known bool) {
	here, err := fs.ReadLink(e.Root, "proc/self/ns/net")
	there, otherErr := fs.ReadLink(e.Root, process+"/ns/net")
	if err == nil && otherErr == nil {
		return here == there, true
	}
	ours, theirs := e.inode("proc/self/net/dev"), e.inode(process+"/net/dev")
	known = ours != 0 && theirs != 0
	return known && ours == theirs, known
}

// inode returns the number of a file's inode, or 0 if it is not known.
func (e *examination) inode(name string) uint64 {
	info, err := fs.Stat(e.Root, name)
	if err != nil {
		return 0
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino
	}
	return 0
}

// theDaemon returns the one of found that answered; if the answer does not tell, the first.
func theDaemon(found []process, answered *watch.Status) *process {
	if len(found) == 0 {
		return nil
	}
	if answered != nil {
		for _, p := range found {
			if p.pid == answered.PID {
				return &p
			}
		}
	}
	return &found[0]
}

// owner returns the user ID of a process, or -1 if it cannot be read.
func (e *examination) owner(pid int) int {
	text, _ := fs.ReadFile(e.Root, fmt.Sprintf("proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			if fields := strings.Fields(ids); len(fields) > 1 {
				if uid, err := strconv.Atoi(fields[1]); err == nil {
					return uid
				}
			}
		}
	}
	return -1
}

// account returns a user as commands accept it: the name, or the number of a user that systemd made up.
func account(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// An answer is the result of a request to the daemon's address.
type answer struct {
	address string
	status  *watch.Status // nil: no daemon answered
	failure string        // what came instead
	free    bool          // nothing listens there
	secured bool          // it requires TLS or a password
}

func (e *examination) get(ctx context.Context, address, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", metrics.Doctor)
	return e.Client.Do(request)
}

// queryDaemon requests the status at the first address that the daemon listens on.
func (e *examination) queryDaemon(ctx context.Context) answer {
	if len(e.Config.Web.Listen) == 0 {
		return answer{free: true}
	}
	a := answer{address: reachable(e.Config.Web.Listen[0])}
	response, err := e.get(ctx, a.address, "/api/v1/status")
	if err != nil {
		a.free, a.failure = errors.Is(err, syscall.ECONNREFUSED), err.Error()
		return a
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, statusLimit))
	var s watch.Status
	switch {
	case response.StatusCode == http.StatusUnauthorized,
		strings.Contains(string(body), "HTTP request to an HTTPS server"):
		a.secured = true
	case response.StatusCode == http.StatusOK && json.Unmarshal(body, &s) == nil && !s.At.IsZero():
		a.status = &s
	default:
		a.failure = "HTTP " + response.Status
	}
	return a
}

// statusLimit is the size limit of a status file.
const statusLimit = 32 << 20

// reachable turns a listen address into one to connect to: a wildcard becomes loopback.
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
		return one(check, Fault, fmt.Sprintf("%s is version %s, this program is %s: "+
			"it was not restarted after an upgrade, or it runs from another file",
			e.daemonName(), cmp.Or(a.status.Version, "unknown"), e.Version),
			e.restart())
	case a.status != nil:
		return one(check, OK, fmt.Sprintf("%s answers at %s, version %s", e.daemonName(), a.address, e.Version))
	case a.secured:
		return one(check, Note, "the server at "+a.address+" requires TLS or a password, "+
			"as web.config_file can configure: not checked further")
	case a.free && e.other != nil:
		return one(check, Fault, fmt.Sprintf("a daemon runs (pid %d, user %s), but nothing listens at %s: "+
			"it has another configuration, or it is starting", e.other.pid, account(e.other.uid), a.address),
			run("netwatchd doctor --config.file=FILE # the daemon's configuration"))
	case a.free:
		start, address := "netwatchd run", "no listen address is configured"
		if a.address != "" {
			address = "nothing listens at " + a.address
		}
		if e.own.load == "loaded" {
			start = e.own.command("start")
		}
		return one(check, Fault, "not running; "+address, run(start))
	}
	return one(check, Fault, fmt.Sprintf("%s is in use by another program (%s)%s", a.address, a.failure, e.windowsHint()),
		write(e.configFile(), fmt.Sprintf("web: {listen: [%q]}", e.nextPort())))
}

func (e *examination) daemonName() string {
	if e.daemon == nil {
		return "a daemon"
	}
	return fmt.Sprintf("the daemon (pid %d, user %s)", e.daemon.pid, account(e.daemon.uid))
}

// runs reports whether the daemon of this configuration runs.
func (e *examination) runs() bool {
	return e.daemon != nil || e.answer.status != nil || e.answer.secured
}

func (e *examination) nextPort() string {
	name, port, _ := net.SplitHostPort(e.Config.Web.Listen[0])
	n, _ := strconv.Atoi(port)
	return net.JoinHostPort(name, strconv.Itoa(n+1))
}

// prometheus checks when Prometheus, or a program in its place, last read /metrics. Only the daemon knows.
func (e *examination) prometheus(ctx context.Context) []Finding {
	const check = "prometheus"
	if e.answer.status == nil {
		return nil
	}
	scrape := write("prometheus.yml", "scrape_configs:", "  - job_name: netwatchd", "    static_configs:",
		fmt.Sprintf("      - targets: [%q]", e.answer.address))
	at, read, err := e.metric(ctx, "netwatchd_last_scrape_timestamp_seconds")
	age := e.Now().Sub(time.UnixMilli(int64(1000 * at)))
	ago := humanize.Span(age) + " ago"
	switch {
	case err != nil:
		return one(check, Unknown, err.Error())
	case !read:
		return one(check, Advice, "Prometheus has not read /metrics since the daemon started", scrape)
	case age > maxScrapeAge:
		return one(check, Advice, "Prometheus last read /metrics "+ago, scrape)
	}
	return one(check, OK, "Prometheus read /metrics "+ago)
}

// maxScrapeAge is three scrapes at one minute, the longest usual interval.
const maxScrapeAge = 3 * time.Minute

// metric returns the value of a daemon metric without labels. It reports false if the daemon has none of this name,
// as an older one may.
func (e *examination) metric(ctx context.Context, name string) (value float64, found bool, err error) {
	response, err := e.get(ctx, e.answer.address, "/metrics")
	if err != nil {
		return 0, false, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value, err = strconv.ParseFloat(text, 64)
			return value, err == nil, err
		}
	}
	return 0, false, lines.Err()
}
