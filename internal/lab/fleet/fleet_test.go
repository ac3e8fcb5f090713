//go:build !race

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/prom"
	"netwatchd/internal/rules"
)

// TestMain sets up a network with two addresses: the receivers', and that of a host which can be disconnected.
func TestMain(m *testing.M) { parts.Main(m, furnish) }

const (
	receivers = "203.0.113.1" // RFC 5737: documentation
	away      = "203.0.113.2"
)

// here is where the tests and the receivers run; far is the host that gets lost.
var here, far *parts.Namespace

func furnish(string) (err error) {
	if far, err = parts.NewNamespace("netwatchd-fleet-far", false); err != nil {
		return err
	}
	err = here.Batch([]string{
		"link set lo up",
		fmt.Sprintf("link add near0 type veth peer name far0 netns %d", far.PID()),
		"addr add " + receivers + "/24 dev near0",
		"link set near0 up",
	}, "ip")
	if err != nil {
		return err
	}
	return far.Batch([]string{"addr add " + away + "/24 dev far0", "link set far0 up"}, "ip")
}

const hosts = 200

// enough only tells slow from stuck.
const enough = 3 * time.Minute

// A fleet is hosts and their receivers.
type fleet struct {
	t          *testing.T
	dir        string
	port       int // of Prometheus
	interval   time.Duration
	prometheus *prom.Prometheus
	hosts      []*Host
}

func newFleet(t *testing.T, port int, interval time.Duration) *fleet {
	parts.Need(t)
	return &fleet{t: t, dir: t.TempDir(), port: port, interval: interval}
}

// startPrometheus starts it, again too: what it had is still there.
func (f *fleet) startPrometheus() {
	f.prometheus = prom.StartPrometheus(f.t, here, prom.Newest(f.t).Prometheus, filepath.Join(f.dir, "prometheus.yml"),
		filepath.Join(f.dir, "tsdb"), fmt.Sprint(receivers, ":", f.port), "--web.enable-remote-write-receiver", "--web.enable-otlp-receiver")
}

func (f *fleet) startHosts(more func(i int) []config.Receiver) {
	for i := range hosts {
		f.hosts = append(f.hosts, StartHost(f.t, fmt.Sprintf("host-%03d", i), append(more(i), f.toPrometheus(64<<20))...))
	}
	f.await(fmt.Sprintf(`count(netwatchd_verdict{cause="healthy"} == 1) >= %d`, hosts))
}

func (f *fleet) toPrometheus(queue int64) config.Receiver {
	return config.Receiver{Name: "prometheus", URL: fmt.Sprintf("http://%s:%d/api/v1/write", receivers, f.port),
		Interval: f.interval, Timeout: 5 * time.Second, Protocol: config.AnyProtocol, Queue: queue}
}

func (f *fleet) toVictoria(v *Victoria) config.Receiver {
	r := f.toPrometheus(64 << 20)
	r.Name, r.URL = "victoria", v.URL+"/api/v1/write"
	return r
}

func (f *fleet) write(name, text string) string {
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// One host reports an outage: a page for this host. Then all do: one page for all, and none for a single host.
func TestOneHostOrEveryone(t *testing.T) {
	const scale = 15 // divides every wait; hosts push every 30s by default
	f := newFleet(t, 9190, 30*time.Second/scale)
	pages := new(inbox)
	alertmanager := prom.StartAlertmanagers(t, here, prom.Newest(t).Alertmanager, f.routes(listen(t, pages)), f.dir,
		[]string{receivers}, "--cluster.settle-timeout=1s")[0]
	f.rules(scale)
	f.startPrometheus()
	f.startHosts(func(int) []config.Receiver { return nil })

	f.hosts[42].Say(causes.Upstream)
	pages.await(t, "NetwatchdSingleHostOutage host-042")
	for _, h := range f.hosts {
		h.Say(causes.Upstream)
	}
	pages.await(t, "NetwatchdFleetOutage everyone")
	eventually(t, func() error { return inhibited(alertmanager, "NetwatchdUpstreamOutage", hosts) })
	// On a slow machine the pushes arrive one after the other, so that several hosts fail before all do.
	got := slices.DeleteFunc(pages.all(), func(page string) bool { return page == "NetwatchdFleetOutage several" })
	if want := []string{"NetwatchdSingleHostOutage host-042", "NetwatchdFleetOutage everyone"}; !slices.Equal(got, want) {
		t.Errorf("pages %q, want %q", got, want)
	}
}

// rules are the shipped rules with all waits divided, in their shipped proportions.
func (f *fleet) rules(scale rules.Duration) {
	for name, file := range map[string]rules.File{
		"netwatchd.rules.yml": rules.For(config.Builtin(), rules.Default()), "fleet.rules.yml": rules.Fleet(config.Builtin(), rules.Default()),
	} {
		// The objective covers days, which are not simulated here.
		file.Groups = slices.DeleteFunc(file.Groups, func(g rules.Group) bool { return g.Name != "netwatchd.causes" && g.Name != "netwatchd.fleet" })
		for _, g := range file.Groups {
			for i := range g.Rules {
				g.Rules[i].For /= scale
				g.Rules[i].KeepFiringFor /= scale
			}
		}
		var text strings.Builder
		if err := file.Write(&text); err != nil {
			f.t.Fatal(err)
		}
		f.write(name, text.String())
	}
	f.write("prometheus.yml", `
global: {evaluation_interval: 1s}
rule_files: [netwatchd.rules.yml, fleet.rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ["`+receivers+`:9093"]}]}]}
`)
}

// routes send every page to an address, but for what the shipped inhibitions silence.
func (f *fleet) routes(pager string) string {
	var inhibitions strings.Builder
	if err := rules.Inhibit(rules.Default()).Write(&inhibitions); err != nil {
		f.t.Fatal(err)
	}
	return f.write("alertmanager.yml", `
route:
  receiver: nobody
  routes:
    - {matchers: ['severity="page"'], receiver: pager, group_by: [alertname, service], group_wait: 700ms, group_interval: 4s}
receivers:
  - {name: nobody}
  - {name: pager, webhook_configs: [{url: "http://`+pager+`/"}]}
`+inhibitions.String())
}

// inhibited is nil if so many alerts of a name fire, and all are silenced by another one.
func inhibited(a *prom.Alertmanager, name string, want int) error {
	var alerts []struct {
		Labels map[string]string
		Status struct{ InhibitedBy []string }
	}
	if err := a.Get("/api/v2/alerts", &alerts); err != nil {
		return err
	}
	silenced := 0
	for _, alert := range alerts {
		if alert.Labels["alertname"] == name && len(alert.Status.InhibitedBy) > 0 {
			silenced++
		}
	}
	if silenced != want {
		return fmt.Errorf("%d alerts %s are silenced by others, want %d", silenced, name, want)
	}
	return nil
}

// takesWhatIsLate is the Prometheus setting that docs/fleet.md requires.
const takesWhatIsLate = "storage: {tsdb: {out_of_order_time_window: 1h}}"

// Prometheus is away for a while, a host is cut off, a daemon is killed meanwhile: every sample arrives, in its place.
// What a queue could not hold is missing, and counted.
func TestNothingIsLost(t *testing.T) {
	f := newFleet(t, 9090, 2*time.Second)
	f.write("prometheus.yml", takesWhatIsLate)
	f.startPrometheus()
	victoria := StartVictoria(t, filepath.Join(f.dir, "victoria"), receivers+":8428")
	lost, killed := f.daemon(far, "lost"), f.daemon(here, "killed")
	daemons := []*daemon{lost, killed, f.daemon(here, "daemon-1"), f.daemon(here, "daemon-2")}
	f.startHosts(func(i int) []config.Receiver {
		if i%10 != 0 {
			return nil
		}
		return []config.Receiver{f.toVictoria(victoria)}
	})
	small := StartHost(t, "small", f.toPrometheus(2<<10)) // a queue that holds a few moments

	f.prometheus.Stop()
	cut(t, "down")
	eventually(t, func() error { return killed.keeps("prometheus", 3) })
	killed.run.Kill()
	killed.kept = killed.queued("prometheus")
	killed.start(t)
	eventually(t, func() error { return lost.keeps("victoria", 3) })
	lost.kept = lost.queued("victoria")
	eventually(t, func() error {
		if small.Sum(t, "netwatchd_push_samples_total", "result", "dropped") == 0 {
			return errors.New("a queue of 2 KiB holds all of it")
		}
		return nil
	})
	cut(t, "up")
	f.startPrometheus()
	returned := time.Now()

	for _, d := range daemons {
		eventually(t, func() error { return d.caughtUp(t, f.prometheus, victoria) })
	}
	killed.arrived(t, f.timesOf("killed"), "prometheus")
	lost.arrived(t, victoria.TimesOf(t, "netwatchd_build_info", "lost"), "victoria")
	f.countAll(victoria, small)
	fmt.Fprintf(parts.Table(t, "fleet"), "%d hosts: the receiver's return to the last of what had waited: %.1f s\n", hosts, time.Since(returned).Seconds())
}

// cut takes the far host's link down, or up.
func cut(t *testing.T, to string) {
	t.Helper()
	if err := far.Batch([]string{"link set far0 " + to}, "ip"); err != nil {
		t.Fatal(err)
	}
}

// countAll holds what arrived against what was collected.
func (f *fleet) countAll(victoria *Victoria, small *Host) {
	t := f.t
	t.Helper()
	all := append(f.hosts[:hosts:hosts], small)
	for _, h := range all {
		eventually(t, func() error {
			if n := h.Sum(t, "netwatchd_push_queue_bytes"); n > 0 {
				return fmt.Errorf("%s: %v bytes wait", h.Name, n)
			}
			return nil
		})
	}
	var stopping sync.WaitGroup
	for _, h := range all {
		stopping.Go(h.Stop)
	}
	stopping.Wait()
	const query = "count_over_time(netwatchd_build_info[15m])"
	eventually(t, func() error { // VictoriaMetrics shows what it has after a second or two
		inPrometheus := byInstance(f.prometheus.Ask(t, query))
		inVictoria, err := victoria.Ask(query)
		if err != nil {
			return err
		}
		for _, h := range f.hosts {
			if got, want := inPrometheus[h.Name]+inVictoria[h.Name], float64(h.moments.Load()); got != want {
				return fmt.Errorf("%s: %v samples in Prometheus and %v in VictoriaMetrics, want %v in all", h.Name, inPrometheus[h.Name], inVictoria[h.Name], want)
			}
		}
		if got, all := inPrometheus["small"], float64(small.moments.Load()); got >= all || got == 0 {
			return fmt.Errorf("of the host that dropped some, %v samples of %v arrived", got, all)
		}
		return nil
	})
	for _, h := range f.hosts {
		for _, result := range []string{"rejected", "dropped"} {
			if n := h.Sum(t, "netwatchd_push_samples_total", "result", result); n > 0 {
				t.Errorf("%s: %v samples %s", h.Name, n, result)
			}
		}
	}
}

func byInstance(v model.Vector) map[string]float64 {
	all := make(map[string]float64)
	for _, s := range v {
		all[string(s.Metric["instance"])] = float64(s.Value)
	}
	return all
}

// await waits until a query has an answer.
func (f *fleet) await(query string) {
	f.t.Helper()
	eventually(f.t, func() error {
		if len(f.prometheus.Ask(f.t, query)) == 0 {
			return fmt.Errorf("%s: nothing", query)
		}
		return nil
	})
}

// gently is the interval between queries: those over a whole fleet are expensive.
const gently = 250 * time.Millisecond

func eventually(t *testing.T, is func() error) {
	t.Helper()
	var asked time.Time
	var err error
	if late := parts.Eventually(enough, func() error {
		if time.Since(asked) > gently {
			err, asked = is(), time.Now()
		}
		return err
	}); late != nil {
		t.Fatal(late)
	}
}

// timesOf are the times of a host's samples in Prometheus.
func (f *fleet) timesOf(instance string) map[int64]bool {
	f.t.Helper()
	value, _, _, err := f.prometheus.Query(f.t.Context(), fmt.Sprintf("netwatchd_build_info{instance=%q}[15m]", instance), time.Now())
	if err != nil {
		f.t.Fatal(err)
	}
	times := make(map[int64]bool)
	for _, s := range value.(model.Matrix) {
		for _, v := range s.Values {
			times[int64(v.Timestamp)] = true
		}
	}
	return times
}

// A daemon is a real one.
type daemon struct {
	name, dir string
	as        *parts.Netwatchd
	run       *parts.Daemon
	kept      []int64 // the longest queue, by timestamps
}

// daemon starts one that pushes to Prometheus and to VictoriaMetrics.
func (f *fleet) daemon(in *parts.Namespace, name string) *daemon {
	return f.pushing(in, name, fmt.Sprintf(`
  remote_write:
    - {name: prometheus, url: "http://%[1]s:%[2]d/api/v1/write", interval: 1s, timeout: 5s, labels: {instance: %[3]s}}
    - {name: victoria, url: "http://%[1]s:8428/api/v1/write", interval: 1s, timeout: 5s, labels: {instance: %[3]s}}
`, receivers, f.port, name))
}

// pushing starts a daemon with that value of push.
func (f *fleet) pushing(in *parts.Namespace, name, push string) *daemon {
	d := &daemon{name: name, dir: filepath.Join(f.dir, name)}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		f.t.Fatal(err)
	}
	d.as = &parts.Netwatchd{In: in, Dir: d.dir}
	f.write(name+"/config.yaml", `
web: {listen: ["127.0.0.1:0"]}
storage: {path: store}
status_file: status.json
push:`+push)
	d.start(f.t)
	return d
}

func (d *daemon) start(t *testing.T) {
	d.run = d.as.Start(t, "--config.file="+filepath.Join(d.dir, "config.yaml"))
}

// queued are the timestamps of a receiver's queue, from its file names.
func (d *daemon) queued(receiver string) []int64 {
	files, err := os.ReadDir(filepath.Join(d.dir, "store", "push", receiver))
	if err != nil {
		return nil
	}
	var times []int64
	for _, file := range files {
		var sequence, at int64
		var samples int
		if n, _ := fmt.Sscanf(file.Name(), "%16x-%d-%d", &sequence, &at, &samples); n == 3 && !strings.HasSuffix(file.Name(), ".new") {
			times = append(times, at)
		}
	}
	return times
}

// keeps is nil if so many moments wait for a receiver.
func (d *daemon) keeps(receiver string, n int) error {
	if waiting := len(d.queued(receiver)); waiting < n {
		return fmt.Errorf("%s: %d moments wait for %s, want %d", d.name, waiting, receiver, n)
	}
	return nil
}

// arrived fails unless all that was kept is there.
func (d *daemon) arrived(t *testing.T, times map[int64]bool, at string) {
	t.Helper()
	for _, kept := range d.kept {
		if !times[kept] {
			t.Errorf("%s: of %d moments that waited, %v is not in %s, which has %d", d.name, len(d.kept), time.UnixMilli(kept), at, len(times))
		}
	}
}

// caughtUp returns nil if both receivers got samples of d within the last seconds.
func (d *daemon) caughtUp(t *testing.T, p *prom.Prometheus, v *Victoria) error {
	query := fmt.Sprintf("time() - timestamp(netwatchd_build_info{instance=%q}) < 5", d.name)
	if in, err := v.Ask(query); err != nil || len(in) == 0 || len(p.Ask(t, query)) == 0 {
		return fmt.Errorf("%s has not been heard of: %v", d.name, err)
	}
	return nil
}

// An inbox takes Alertmanager's messages.
type inbox struct {
	mu   sync.Mutex
	said []string // "NetwatchdFleetOutage everyone", once each
}

func listen(t *testing.T, i *inbox) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: i}
	go server.Serve(l)
	t.Cleanup(func() { server.Shutdown(context.Background()) })
	return l.Addr().String()
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	message, err := prom.ReadMessage(w, r)
	if err != nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, a := range message.Alerts {
		text := fmt.Sprint(a.Labels["alertname"], " ", a.Labels["scope"], a.Labels["instance"])
		if a.Status == "firing" && !slices.Contains(i.said, text) { // a message repeats alerts that still fire
			i.said = append(i.said, text)
		}
	}
}

func (i *inbox) all() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.said)
}

func (i *inbox) await(t *testing.T, text string) {
	t.Helper()
	eventually(t, func() error {
		if said := i.all(); !slices.Contains(said, text) {
			return fmt.Errorf("no message %q among %q", text, said)
		}
		return nil
	})
}
