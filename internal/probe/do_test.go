package probe_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"netwatchd/internal/probe"
)

// late returns some time after its deadline.
type late time.Duration

func (l late) Probe(ctx context.Context) (probe.Facts, error) {
	<-ctx.Done()
	time.Sleep(time.Duration(l))
	return probe.Facts{}, probe.Fail(probe.ExecTimedOut, errors.New("it did not finish in time"))
}

// A busy host needs time to end processes. What does not return at all is abandoned.
func TestAttemptsThatReturnLate(t *testing.T) {
	for name, test := range map[string]struct {
		spec probe.Spec
		late time.Duration
		want probe.Class
	}{
		"a request, soon":                  {probe.Spec{Kind: probe.KindHTTP}, 3 * time.Second, probe.ExecTimedOut},
		"a request that hangs":             {probe.Spec{Kind: probe.KindHTTP}, time.Hour, probe.Internal},
		"a run, its processes end slowly":  {probe.Spec{Kind: probe.KindExec}, 20 * time.Second, probe.ExecTimedOut},
		"the agent's status, the same":     {probe.Spec{Kind: probe.KindStatus}, 20 * time.Second, probe.ExecTimedOut},
		"a lookup in a sandbox, the same":  {probe.Spec{Kind: probe.KindDNS, Vantage: probe.FromSandbox}, 20 * time.Second, probe.ExecTimedOut},
		"a run whose processes do not end": {probe.Spec{Kind: probe.KindExec}, time.Hour, probe.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.spec.Timeout = time.Second
				r, _ := probe.Do(t.Context(), &probe.Probe{Spec: test.spec, Prober: late(test.late)})
				time.Sleep(2 * time.Hour) // until the prober has returned
				if r.Class != test.want {
					t.Errorf("got %v (%s), want %v", r.Class, r.Why, test.want)
				}
			})
		})
	}
}
