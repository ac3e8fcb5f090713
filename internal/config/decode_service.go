package config

import (
	"slices"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/strictyaml"
	"netwatchd/internal/tally"
)

func (d *decoder) services(n *strictyaml.Node) []Service {
	var services []Service
	n.Named(func(item *strictyaml.Node) string {
		services = append(services, d.service(item))
		return services[len(services)-1].Name
	})
	if n.IsEmptyList() {
		n.Errorf("is empty: add a service, or remove the key to watch Codex")
	}
	return services
}

// AutoClient is the client of the service's agent, or glibc's for a service without one.
const AutoClient = "auto"

// defaultService has the values of keys that are not set.
func defaultService() Service {
	return Service{Moves: defaultMoves, Intermittent: defaultIntermittent, Client: AutoClient}
}

func (d *decoder) service(n *strictyaml.Node) Service {
	s := defaultService()
	f := n.NamedObject(&s.Name, checkServiceName, "name", "probes", "owner", "advice", "runbook", "status_page", "ask_status_page", "controls",
		"resolvers", "client", "sandbox", "certificate_left", "late", "severity", "moves", "intermittent")
	f.Duration("late", &s.Late, 0)
	d.own(f, &s)
	if at, ok := f.Has("probes"); ok {
		s.Probes = d.probes(at)
	} else if f != nil {
		n.Errorf("has no probes: add at least one")
	}
	owner := ownerNames[s.Owner]
	if f.Text("owner", &owner, strictyaml.OneOf(ownerNames...)) {
		s.Owner = diagnose.Owner(slices.Index(ownerNames, owner))
	}
	hasAgent := func(p Probe) bool { return p.Preset != "" }
	if s.Owner == diagnose.OwnerUnknown && slices.ContainsFunc(s.Probes, hasAgent) {
		s.Owner = diagnose.Vendor
	}
	if at := slices.IndexFunc(s.Probes, hasAgent); at >= 0 {
		if _, set := f.Has("status_page"); !set {
			s.StatusPage = statusPages[s.Probes[at].Preset]
		}
	}
	if s.Owner != diagnose.Vendor {
		s.CertificateLeft = ownCertificateLeft
	}
	f.Duration("certificate_left", &s.CertificateLeft, 0)
	f.Text("client", &s.Client, strictyaml.OneOf(AutoClient, "glibc", "musl", "go", "bun", "node"))
	if at, ok := f.Has("sandbox"); ok {
		s.Sandbox = d.sandbox(at)
	}
	if at, ok := f.Has("severity"); ok {
		s.Severity = decodeSeverity(at)
	}
	if at, ok := f.Has("moves"); ok {
		decodeMoves(at, &s.Moves)
	}
	if at, ok := f.Has("intermittent"); ok {
		decodeIntermittent(at, &s.Intermittent)
	}
	return s
}

func (d *decoder) sandbox(n *strictyaml.Node) *Sandbox {
	s := defaultSandbox()
	f := n.Object("command", "want", "interval", "timeout")
	f.Texts("command", &s.Command, nil)
	checkExecutable(f, "command", s.Command)
	want := wantOfAgent
	f.Text("want", &want, strictyaml.OneOf(append(wantNames, wantOfAgent)...))
	if s.FollowsAgent = want == wantOfAgent; !s.FollowsAgent {
		s.Want = diagnose.Want(slices.Index(wantNames, want))
	}
	interval := f.Duration("interval", &s.Interval, minInterval)
	timeout := f.Duration("timeout", &s.Timeout, minInterval)
	if interval && timeout {
		checkTimeout(n, f, s.Timeout, s.Interval)
	}
	return &s
}

// wantOfAgent is the default of want: what the agent's own configuration asks for.
const wantOfAgent = "agent"

var ownerNames = []string{diagnose.OwnerUnknown: "", diagnose.Us: "us", diagnose.Vendor: "vendor"}

var wantNames = []string{diagnose.WantAny: "any", diagnose.WantClosed: "closed", diagnose.WantOpen: "open"}

func decodeSeverity(n *strictyaml.Node) map[causes.Cause]causes.Severity {
	severities := make(map[causes.Cause]causes.Severity)
	f := n.Object(causeNames...)
	for _, name := range causeNames {
		at, ok := f[name]
		if !ok {
			continue
		}
		var text string
		strictyaml.Fields{name: at}.Text(name, &text, strictyaml.OneOf("page", "ticket", "info", "none"))
		var cause causes.Cause
		var severity causes.Severity
		if cause.UnmarshalText([]byte(name)) == nil && severity.UnmarshalText([]byte(text)) == nil {
			severities[cause] = severity
		}
	}
	if len(severities) == 0 {
		return nil
	}
	return severities
}

var causeNames = func() (names []string) {
	for c := range causes.All() {
		names = append(names, c.String())
	}
	return names
}()

// maxMoves limits how old the results behind a verdict can be: at the default interval, ten of them span five minutes.
const maxMoves = 10

func decodeMoves(n *strictyaml.Node, m *Moves) {
	f := n.Object("results", "of")
	results, of := f.Integer("results", &m.Results, 1, maxMoves), f.Integer("of", &m.Of, 1, maxMoves)
	if results && of && m.Results > m.Of {
		n.Errorf("results (%d) is larger than of (%d): set \"of\" to at least %d", m.Results, m.Of, m.Results)
	}
}

func decodeIntermittent(n *strictyaml.Node, l *tally.Limits) {
	f := n.Object("failures", "of")
	failures, of := f.Integer("failures", &l.Failures, 0, tally.MaxOf), f.Integer("of", &l.Of, 1, tally.MaxOf)
	if failures && of && 2*l.Failures-1 > l.Of {
		n.Errorf("of (%d) has no room for failures (%d), each of them after a success: set \"of\" to at least %d, or "+
			"\"failures\" to less", l.Of, l.Failures, 2*l.Failures-1)
	}
}
