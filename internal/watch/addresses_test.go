package watch

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

const (
	first, second = "203.0.113.1", "203.0.113.2"
	sixth         = "2001:db8::6"
)

// withAddresses is a ladder whose name has these addresses. What happens at one of them is set for "head@ADDRESS".
func (w *world) withAddresses(addresses ...string) Service {
	s := w.ladder()
	head := &s.Tasks[1]
	head.Probe = &probe.Probe{Spec: head.Spec, Prober: actor{world: w, name: "head", phase: probe.Connect, answers: addresses}}
	head.RoundProbe = head.Probe
	head.AtAddress = func(addr netip.Addr) *probe.Probe {
		at := w.probe("codex", "head@"+addr.String(), probe.KindHTTP, probe.ServiceAddress, probe.FromHost, probe.Response)
		at.Name = head.Name
		at.Prober = peerProber{at.Prober.(actor), netip.AddrPortFrom(addr, 443)}
		return at
	}
	return s
}

// A peerProber is an actor at one address.
type peerProber struct {
	actor
	peer netip.AddrPort
}

func (p peerProber) Probe(ctx context.Context) (probe.Facts, error) {
	facts, err := p.actor.Probe(ctx)
	facts.Peer = p.peer.String()
	return facts, err
}

func (w *world) asked(address string) int { return len(w.starts("head@" + address)) }

// A healthy service is asked at no single address.
func TestHealthyServiceIsNotAskedAtEachAddress(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.withAddresses(first, second, sixth)), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Hour)
		wantCause(t, w, causes.Healthy)
		for _, address := range []string{first, second, sixth} {
			if n := world.asked(address); n > 0 {
				t.Errorf("%s was asked %d times", address, n)
			}
		}
	})
}

// One broken address of two is no outage, for as long as it is broken, and its repair is noticed.
func TestOneBrokenAddressIsNoOutage(t *testing.T) {
	world, seen := newWorld(), new(moves)
	watching(t, world.plan(world.withAddresses(first, second)), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		world.fail("head@"+first, probe.HTTPServerError, probe.Response)
		for range 20 { // a nameserver rotates its answers
			world.fail("head", probe.HTTPServerError, probe.Response)
			time.Sleep(interval)
			world.set("head", probe.OK, usually)
			time.Sleep(interval)
		}
		got := wantCause(t, w, causes.Degraded)
		if want := "codex: one of the service's 2 addresses, 203.0.113.1, fails with a server error"; got.Title != want {
			t.Errorf("title %q, want %q", got.Title, want)
		}
		world.set("head@"+first, probe.OK, usually)
		time.Sleep(2 * interval)
		wantCause(t, w, causes.Healthy)
		asked := world.asked(first)
		time.Sleep(time.Hour)
		if more := world.asked(first) - asked; more > 1 { // once more, in the round that found it repaired
			t.Errorf("the repaired address was asked %d times more", more)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"starting -> healthy", "healthy -> degraded", "degraded -> healthy"}, seen.seen); diff != "" {
			t.Errorf("moves (-want +got):\n%s", diff)
		}
	})
}

// An attempt at an address that takes as long as it may does not let a page out before it has ended.
func TestNothingIsToldOfTheServiceBeforeEachAddressEnded(t *testing.T) {
	world, seen := newWorld(), new(moves)
	watching(t, world.plan(world.withAddresses(first, second)), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
		world.fail("head", probe.HTTPServerError, probe.Response)
		world.fail("head@"+first, probe.HTTPServerError, probe.Response)
		world.set("head@"+second, probe.OK, confirmTimeout-time.Millisecond)
		world.set("one", probe.OK, time.Hour) // the environment ends last
		time.Sleep(3 * interval)
		synctest.Wait()
		if slices.ContainsFunc(seen.seen, paged) {
			t.Errorf("moves: %v", seen.seen)
		}
		wantCause(t, w, causes.Degraded)
	})
}

// Address trouble that a success hides starts a confirming round, but not again and again if every address answers.
func TestHiddenAddressTroubleIsLookedInto(t *testing.T) {
	for _, test := range []struct {
		six   probe.Class
		cause causes.Cause
	}{{probe.TCPTimedOut, causes.IPv6}, {probe.OK, causes.Healthy}} {
		t.Run(test.six.String(), func(t *testing.T) {
			world := newWorld()
			world.warnings = map[string][]string{"head": {probe.WarnIPv6Slow}}
			world.fail("head@"+sixth, test.six, probe.Connect)
			watching(t, world.plan(world.withAddresses(first, sixth)), Options{}, func(t *testing.T, w *Watcher) {
				time.Sleep(interval)
				wantCause(t, w, test.cause)
				time.Sleep(time.Hour)
				wantCause(t, w, test.cause)
				if n := world.asked(sixth); test.six == probe.OK && n > 2 {
					t.Errorf("asked %d times in an hour, though it answered", n)
				}
			})
		})
	}
}

// A single round, as check makes it, asks each address before it blames the service.
func TestOnceAsksEachAddress(t *testing.T) {
	world := newWorld()
	world.fail("head", probe.HTTPServerError, probe.Response)
	world.fail("head@"+first, probe.HTTPServerError, probe.Response)
	if got := Once(t.Context(), world.plan(world.withAddresses(first, second)), "").Services[0]; got.Cause != causes.Degraded {
		t.Errorf("one of two fails: %v (%s)", got.Cause, got.Title)
	}
	world.fail("head@"+second, probe.HTTPServerError, probe.Response)
	if got := Once(t.Context(), world.plan(world.withAddresses(first, second)), "").Services[0]; got.Cause != causes.Upstream {
		t.Errorf("both fail: %v (%s)", got.Cause, got.Title)
	}
}

func TestFamiliesInTurn(t *testing.T) {
	parse := func(texts ...string) (all []netip.Addr) {
		for _, text := range texts {
			all = append(all, netip.MustParseAddr(text))
		}
		return all
	}
	got := familiesInTurn(parse(first, second, "203.0.113.3", sixth), 3)
	if want := parse(sixth, first, second); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
