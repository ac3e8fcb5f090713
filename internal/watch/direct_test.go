package watch

import (
	"context"
	"testing"
	"time"

	"netwatchd/internal/probe"
)

// A proxiedProber is an actor whose connection a proxy makes.
type proxiedProber struct{ actor }

func (p proxiedProber) Probe(ctx context.Context) (probe.Facts, error) {
	facts, err := p.actor.Probe(ctx)
	facts.Proxy = "http://192.0.2.8:3128"
	return facts, err
}

// While a request fails behind a proxy, every round also makes it without the proxy. Afterwards none does.
func TestDirectRequestsWhileAProxyFails(t *testing.T) {
	world := newWorld()
	s := world.ladder()
	head := &s.Tasks[1]
	head.Probe = &probe.Probe{Spec: head.Spec, Prober: proxiedProber{actor{world: world, name: "head", phase: probe.Connect}}}
	head.RoundProbe = head.Probe
	s.DirectProbes = []*probe.Probe{world.probe("codex", "bypass", probe.KindHTTP, probe.OfService, probe.Direct, probe.Response)}
	watching(t, world.plan(s), Options{}, func(t *testing.T, _ *Watcher) {
		time.Sleep(time.Hour)
		if n := len(world.starts("bypass")); n > 0 {
			t.Errorf("a healthy service was asked %d times without the proxy", n)
		}
		world.fail("head", probe.TLSClosed, probe.Handshake)
		time.Sleep(20 * interval)
		if n := len(world.starts("bypass")); n < 18 {
			t.Errorf("asked %d times without the proxy in 20 intervals, want about 20", n)
		}
		world.set("head", probe.OK, usually)
		time.Sleep(2 * interval)
		before := len(world.starts("bypass"))
		time.Sleep(time.Hour)
		if more := len(world.starts("bypass")) - before; more > 0 {
			t.Errorf("asked %d times more once the proxy worked", more)
		}
	})
}
