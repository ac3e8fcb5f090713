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

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/prom"
	"netwatchd/internal/lab/world"
)

var (
	hurry  = flag.Int("hurry", 20, "how many times faster than in life; 1 takes half an hour")
	oldest = flag.Bool("oldest", false, "with the oldest Prometheus and Alertmanager that are supported")
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", fmt.Sprint(len(Desks))) // they wait, all at the same time
	parts.Main(m, func(string) error { return nil })
}

func release(t *testing.T) prom.Release {
	if *oldest {
		return prom.Oldest(t)
	}
	return prom.Newest(t)
}

// An outcome is what came of a desk.
type outcome struct {
	told, resolved time.Duration // from the fault and from its repair, to the last of the messages
}

type outcomes []outcome // by desk

// Something goes wrong at every desk at the same time, and is mended again. Who must be told is told, once, and nobody else.
func TestChain(t *testing.T) {
	var names []string
	for _, d := range Desks {
		names = append(names, d.Name())
	}
	c := Start(t, release(t), Hurry(*hurry), names)
	came := make(outcomes, len(Desks))
	var others sync.WaitGroup
	for _, d := range Desks {
		if d.outages() {
			others.Add(1)
		}
	}
	t.Run("desk", func(t *testing.T) {
		for i, d := range Desks {
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
				came[i] = c.play(t, d, w)
			})
		}
	})
	c.judge(t)
	came.report(parts.Table(t, "chain"))
	if *update {
		came.write(t)
	}
}

// outages reports whether the desk is one of those after which an Alertmanager is killed.
func (d Desk) outages() bool {
	return !d.Killed && slices.Contains(d.Told, Told{pager, "CodexUpstreamOutage"})
}

// furnish makes the desk, and returns when the office finds all well there.
func (c *Chain) furnish(t *testing.T, at int, d Desk) *world.World {
	t.Helper()
	w := world.New(t, fmt.Sprintf("desk%d", at))
	w.Begin(t, d.config())
	for _, s := range d.scenes() {
		if s.Before != nil {
			s.Before(w)
		}
	}
	daemon := w.Netwatchd().Start(t, "--config.file="+w.WriteConfig())
	c.Connect(t, at, w)
	well := fmt.Sprintf("netwatchd_verdict{instance=%q,cause=\"healthy\"} == 1", d.Name())
	daemon.Await(c.patience(), func() error {
		if len(c.Prometheus.Ask(t, well)) == 0 {
			return errors.New("not found to be well")
		}
		return nil
	})
	return w
}

// play has the desk's scenes begin, and end when all have been told.
func (c *Chain) play(t *testing.T, d Desk, w *world.World) outcome {
	t.Helper()
	var o outcome
	begun := time.Now()
	t.Run("fault", func(t *testing.T) {
		w.Lend(t)
		for _, s := range d.scenes() {
			s.Bend(w)
		}
		o.told = c.awaitAll(t, d, firing).Sub(begun)
	})
	if d.Stays {
		return o
	}
	ended := time.Now()
	o.resolved = c.awaitAll(t, d, resolved).Sub(ended)
	return o
}

// awaitAll waits until all who must be told of the desk's fault, or of its end, have been told, and returns when that was.
func (c *Chain) awaitAll(t *testing.T, d Desk, status string) time.Time {
	t.Helper()
	var last time.Time
	for _, to := range d.Told {
		n, err := c.Inbox.Await(c.patience(), d.Name(), Notice{Receiver: to.Receiver, Alert: to.Alert, Status: status})
		if err != nil {
			t.Error(err)
		} else if n.At.After(last) {
			last = n.At
		}
	}
	return last
}

// silence is long enough for an Alertmanager that speaks although all has been said: it does so after the peer timeout.
func (c *Chain) silence() { time.Sleep(2 * c.Hurry.shorten(peerTimeout)) }

// judge compares what was told with what must have been.
func (c *Chain) judge(t *testing.T) {
	t.Helper()
	c.silence()
	for _, d := range Desks {
		var got []string
		for _, n := range c.Inbox.Of(d.Name()) {
			// That a busy machine falls behind, or that a desk is cleared away, is not about its fault.
			if cleared := d.Stays && n.Status == resolved; cleared || strings.HasPrefix(n.Alert, "Netwatchd") {
				continue
			}
			got = append(got, n.String())
		}
		slices.Sort(got)
		if diff := cmp.Diff(d.notices(), got); diff != "" {
			t.Errorf("%s (-to be told +told):\n%s", d.Name(), diff)
		}
	}
	for _, fault := range c.Inbox.Faults() {
		t.Errorf("a message that should not have come: %s", fault)
	}
}

// report writes who was told what, and how soon.
func (o outcomes) report(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "AT A DESK (%d times faster than in life)\tIS TOLD\tOF\tFAULT TO MESSAGE\tREPAIR TO MESSAGE\n", *hurry)
	for i, d := range Desks {
		for _, to := range d.Told {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.Name(), to.Receiver, to.Alert, seconds(o[i].told), seconds(o[i].resolved))
		}
	}
	w.Flush()
}

// seconds is how long something took, if it came about.
func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
