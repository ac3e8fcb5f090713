package chain

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/config"
	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/prom"
	"netwatchd/internal/lab/world"
	"netwatchd/internal/rules"
)

var (
	scale  = flag.Int("timescale", 20, "divide every wait by this; 1 takes half an hour")
	oldest = flag.Bool("oldest", false, "use the oldest supported Prometheus and Alertmanager")
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", fmt.Sprint(len(HostCases))) // they mostly wait
	parts.Main(m, func(string) error { return nil })
}

func release(t *testing.T) prom.Release {
	if *oldest {
		return prom.Oldest(t)
	}
	return prom.Newest(t)
}

// An outcome is the result of a case.
type outcome struct {
	notified, resolved time.Duration // from the fault and from its repair to the last message
}

type outcomes []outcome // by case

// All cases have their fault at the same time, and are repaired. Each receiver is notified once, and no other.
func TestChain(t *testing.T) {
	var names []string
	for _, d := range HostCases {
		names = append(names, d.Name())
	}
	c := Start(t, release(t), TimeScale(*scale), names)
	results := make(outcomes, len(HostCases))
	var others sync.WaitGroup
	for _, d := range HostCases {
		if d.outages() {
			others.Add(1)
		}
	}
	t.Run("case", func(t *testing.T) {
		for i, d := range HostCases {
			t.Run(d.Name(), func(t *testing.T) {
				t.Parallel()
				if d.outages() {
					defer others.Done()
				}
				w := c.furnish(t, i, d)
				if d.Killed {
					others.Wait()
					c.KillOne(t)
				}
				results[i] = c.play(t, d, w)
			})
		}
	})
	c.judge(t)
	results.report(parts.Table(t, "chain"))
	if *update {
		results.write(t)
	}
}

// outages reports whether this is a case after which an Alertmanager is killed.
func (d HostCase) outages() bool {
	return !d.Killed && slices.Contains(d.Notified, Notified{pager, "NetwatchdUpstreamOutage"})
}

// furnish creates the case's world, and returns when Prometheus sees it healthy.
func (c *Chain) furnish(t *testing.T, at int, d HostCase) *world.World {
	t.Helper()
	w := world.New(t, fmt.Sprintf("case%d", at))
	w.Begin(t, d.config())
	for _, s := range d.scenes() {
		if s.Before != nil {
			s.Before(w)
		}
	}
	daemon := w.Netwatchd().Start(t, "--config.file="+w.WriteConfig())
	c.Connect(t, at, w)
	healthy := fmt.Sprintf("netwatchd_verdict{instance=%q,cause=\"healthy\"} == 1", d.Name())
	daemon.Await(c.patience(), func() error {
		if len(c.Prometheus.Ask(t, healthy)) == 0 {
			return errors.New("not healthy in Prometheus")
		}
		return nil
	})
	return w
}

// play injects the case's faults, removes them when all receivers are notified, and waits for the resolutions.
func (c *Chain) play(t *testing.T, d HostCase, w *world.World) outcome {
	t.Helper()
	var o outcome
	begun := time.Now()
	t.Run("fault", func(t *testing.T) {
		w.Lend(t)
		for _, s := range d.scenes() {
			s.Inject(w)
		}
		o.notified = c.awaitAll(t, d, firing).Sub(begun)
	})
	if d.NoRecovery {
		return o
	}
	ended := time.Now()
	o.resolved = c.awaitAll(t, d, resolved).Sub(ended)
	return o
}

// awaitAll waits for all notifications of the case with this status, and returns the time of the last.
func (c *Chain) awaitAll(t *testing.T, d HostCase, status string) time.Time {
	t.Helper()
	var last time.Time
	for _, to := range d.Notified {
		n, err := c.Inbox.Await(c.patience(), d.Name(), Notice{Receiver: to.Receiver, Alert: to.Alert, Status: status})
		if err != nil {
			t.Error(err)
		} else if n.At.After(last) {
			last = n.At
		}
	}
	return last
}

// settle waits long enough for a duplicate message of the other Alertmanager: it comes after the peer timeout.
func (c *Chain) settle() { time.Sleep(2 * c.Scale.shorten(peerTimeout)) }

// judge compares the messages with those that must have come.
func (c *Chain) judge(t *testing.T) {
	t.Helper()
	c.settle()
	for _, d := range HostCases {
		var got []string
		for _, n := range c.Inbox.Of(d.Name()) {
			// A busy machine that falls behind and the removal of a case are not about its fault.
			if removed := d.NoRecovery && n.Status == resolved; removed || aboutNetwatchd[n.Alert] {
				continue
			}
			got = append(got, n.String())
			if slices.Contains(d.notices(), n.String()) && n.Status == firing && !strings.HasPrefix(n.Description, d.Evidence) {
				t.Errorf("%s: the description of %s does not begin with %q:\n%s", d.Name(), n.Alert, d.Evidence, n.Description)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(d.notices(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", d.Name(), diff)
		}
	}
	for _, fault := range c.Inbox.Faults() {
		t.Errorf("an unexpected message: %s", fault)
	}
}

// aboutNetwatchd are the alerts on netwatchd itself.
var aboutNetwatchd = func() map[string]bool {
	names := make(map[string]bool)
	for _, g := range rules.For(config.Builtin(), rules.Default()).Groups {
		for _, r := range g.Rules {
			if g.Name == "netwatchd.self" {
				names[r.Alert] = true
			}
		}
	}
	return names
}()

// report writes who was notified of what, and how soon.
func (o outcomes) report(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "CASE (every wait divided by %d)\tRECEIVER\tALERT\tFAULT TO MESSAGE\tREPAIR TO MESSAGE\n", *scale)
	for i, d := range HostCases {
		for _, to := range d.Notified {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.Name(), to.Receiver, to.Alert, seconds(o[i].notified), seconds(o[i].resolved))
		}
	}
	w.Flush()
}

// seconds formats a duration; zero is a dash.
func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
