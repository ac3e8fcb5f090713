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

	"netwatchd/internal/metrics"
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
		return []Finding{{check, OK, fmt.Sprintf("%s answers at %s, version %s", e.whose(), a.address, e.Version), nil}}
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

// prometheus goes by what the daemon has seen: who reads its metrics, nobody else can tell.
func (e *examination) prometheus(ctx context.Context) []Finding {
	const check = "prometheus"
	if e.answer.status == nil {
		return nil
	}
	scrape := write("prometheus.yml", "scrape_configs:", "  - job_name: netwatchd", "    static_configs:", fmt.Sprintf("      - targets: [%q]", e.answer.address))
	at, read, err := e.metric(ctx, "netwatchd_last_scrape_timestamp_seconds")
	ago := e.Now().Sub(time.UnixMilli(int64(1000 * at))).Round(time.Second)
	switch {
	case err != nil:
		return []Finding{{check, Unknown, err.Error(), nil}}
	case !read:
		return []Finding{{check, Advice, "nobody has read /metrics since the daemon started", []Change{scrape}}}
	case ago > unread:
		return []Finding{{check, Advice, fmt.Sprintf("/metrics was last read %v ago", ago), []Change{scrape}}}
	}
	return []Finding{{check, OK, fmt.Sprintf("/metrics was read %v ago", ago), nil}}
}

// unread is three scrapes at the longest interval that is usual, a minute.
const unread = 3 * time.Minute

// metric is the value of one of the daemon's that has no labels; an older daemon may not have it.
func (e *examination) metric(ctx context.Context, name string) (value float64, there bool, err error) {
	response, err := e.get(ctx, e.answer.address, "/metrics")
	if err != nil {
		return 0, false, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if text, is := strings.CutPrefix(lines.Text(), name+" "); is {
			value, err = strconv.ParseFloat(text, 64)
			return value, err == nil, err
		}
	}
	return 0, false, lines.Err()
}
