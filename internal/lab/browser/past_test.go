package browser

import (
	"math/rand/v2"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
	"netwatchd/internal/store"
	"netwatchd/internal/watch"
)

// remember fills a store with a believable quarter: measurements that breathe with the day, nights in which the host
// sleeps, an outage of the resolver yesterday and one of the service last week, each with its incident.
func remember(t *testing.T, dir string) {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := &quarter{random: rand.New(rand.NewPCG(20, 26)), now: time.Now().Truncate(time.Minute), notes: make(map[string]trouble)}
	var b store.Batch
	for at := p.now.Add(-91 * 24 * time.Hour); at.Before(p.now.Add(-2 * time.Minute)); at = at.Add(p.step(at)) {
		if !p.asleep(at) {
			b.Minutes = append(b.Minutes, p.minute(at))
		}
	}
	for day := range 91 {
		night := p.now.Truncate(24*time.Hour).AddDate(0, 0, -day).Add(wakes)
		if night.Before(p.now) {
			b.Entries = append(b.Entries, store.Suspend{Suspend: incident.Suspend{At: night, Away: sleeps}})
		}
	}
	p.incidents(&b)
	b.Run = &incident.DaemonRun{Version: "1.4.0", Started: p.now.Add(-92 * 24 * time.Hour), Seen: p.now.Add(-2 * time.Minute), Ended: p.now.Add(-2 * time.Minute)}
	if err := s.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for id, tr := range p.notes {
		if err := s.Note(t.Context(), id, tr.note, p.now.Add(-tr.ago).Add(tr.lasted+5*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Maintain(t.Context(), p.now, 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
}

// The host sleeps at night, by UTC.
const (
	sleeps = 6*time.Hour + 40*time.Minute
	wakes  = 6 * time.Hour
)

type quarter struct {
	random *rand.Rand
	now    time.Time
	notes  map[string]trouble // by incident
}

// step is a minute where minutes are kept, and longer before: what is not shown need not be made.
func (p *quarter) step(at time.Time) time.Duration {
	switch ago := p.now.Sub(at); {
	case ago > 8*24*time.Hour:
		return 3 * time.Hour
	case ago > 26*time.Hour:
		return 10 * time.Minute
	}
	return time.Minute
}

func (p *quarter) asleep(at time.Time) bool {
	since := at.Sub(at.Truncate(24 * time.Hour))
	if since < wakes {
		return since > wakes-sleeps
	}
	return since > wakes+24*time.Hour-sleeps
}

// A trouble is a time in which something failed.
type trouble struct {
	ago, lasted time.Duration
	cause       causes.Cause
	dns, head   probe.Class
	note, why   string
}

var troubles = []trouble{
	{19 * time.Minute, 4 * time.Minute, causes.Upstream, probe.OK, probe.HTTPServerError, "", "503 Service Unavailable"},
	{7 * time.Hour, 38 * time.Minute, causes.Resolver, probe.DNSTimeout, probe.DNSTimeout, "The VPN had rewritten resolv.conf.",
		"lookup chatgpt.com on 203.0.113.53:53: i/o timeout"},
	{3*24*time.Hour + 2*time.Hour, 2 * time.Hour, causes.Upstream, probe.OK, probe.TCPTimedOut, "", "dial tcp 203.0.113.10:443: i/o timeout"},
	{16 * 24 * time.Hour, 9 * time.Hour, causes.Interception, probe.OK, probe.TLSAuthorityInvalid, "Hotel Wi-Fi.",
		"tls: failed to verify certificate: x509: certificate signed by unknown authority"},
	{48 * 24 * time.Hour, 14 * time.Hour, causes.Upstream, probe.OK, probe.HTTPServerError, "", "502 Bad Gateway"},
}

func (p *quarter) minute(at time.Time) rollup.Minute {
	m := rollup.Minute{At: at}
	dns, head := probe.OK, probe.OK
	for _, tr := range troubles {
		if began := p.now.Add(-tr.ago); !at.Before(began) && at.Before(began.Add(tr.lasted)) {
			dns, head = tr.dns, tr.head
		}
	}
	busy := 1 + .25*float64(at.Hour()%12)/12
	add := func(times int, name string, kind probe.Kind, v probe.Vantage, class probe.Class, usual float64) {
		part := rollup.Part{Key: ledger.Key{Service: "codex", Probe: name, Kind: kind, Vantage: v}}
		for range times {
			c := class
			if v == probe.FromHost && class != probe.OK && p.random.IntN(6) == 0 {
				c = probe.OK
			}
			part.Add(c, probe.Seconds(usual*busy*(.9+.08*p.random.ExpFloat64())))
		}
		m.Parts = append(m.Parts, part)
	}
	add(2, "dns", probe.KindDNS, probe.FromHost, dns, .008)
	add(2, "head", probe.KindHTTP, probe.FromHost, head, .041)
	ago := p.now.Sub(at)
	if ago%(5*time.Minute) == 0 {
		add(1, "dns", probe.KindDNS, probe.FromSandbox, probe.LocalDenied, .0004)
		add(1, "head", probe.KindHTTP, probe.FromSandbox, probe.LocalDenied, .0004)
		add(1, "stream", probe.KindStream, probe.FromHost, dns, 60)
	}
	if ago%time.Hour == 0 {
		add(1, "exec", probe.KindExec, probe.FromHost, probe.OK, 3.1)
	}
	return m
}

func (p *quarter) incidents(b *store.Batch) {
	book := incident.NewBook()
	for i := len(troubles) - 1; i >= 0; i-- {
		tr := troubles[i]
		began := p.now.Add(-tr.ago)
		about := tr.cause.About()
		one, _ := book.Enter(diagnose.Verdict{Service: "codex", Cause: tr.cause, Severity: about.Severity, Title: "codex: " + about.Title}, began)
		shows := probe.Result{Spec: probe.Spec{Service: "codex", Name: "head", Kind: probe.KindHTTP, Target: "https://chatgpt.com/backend-api/codex/responses"},
			Start: began.Add(-time.Second), Elapsed: 1.002, Class: tr.head, Why: tr.why}
		standing := watch.ServiceStatus{Verdict: diagnose.Verdict{Service: "codex", Cause: tr.cause, Severity: about.Severity, Title: "codex: " + about.Title,
			Advice: about.Advice, Evidence: []probe.Result{shows}}, Since: began, Delay: 1.1}
		b.Entries = append(b.Entries, store.VerdictChange{VerdictChange: incident.VerdictChange{At: began, Was: causes.Healthy, Incident: one.ID, Status: standing}})
		book.Enter(diagnose.Verdict{Service: "codex", Cause: causes.Healthy, Title: "codex: reachable"}, began.Add(tr.lasted))
		if tr.note != "" {
			p.notes[one.ID] = tr
		}
		b.Incidents = append(b.Incidents, one.Clone())
	}
}
