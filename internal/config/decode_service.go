package config

import (
	"slices"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/strictyaml"
)

func (d *decoder) services(p *strictyaml.Node) []Service {
	var services []Service
	p.Named(func(item *strictyaml.Node) string {
		services = append(services, d.service(item))
		return services[len(services)-1].Name
	})
	if p.IsEmptyList() {
		p.Errorf("is empty: list a service, or remove the key to watch Codex")
	}
	return services
}

func (d *decoder) service(p *strictyaml.Node) Service {
	known := []string{"name", "probes", "sandbox", "late", "severity", "moves"}
	f := p.Mapping(known...)
	s := Service{Name: p.ReadName(f, checkServiceName), Moves: defaultMoves}
	p.RejectUnknown(f, known, nil)
	f.Duration("late", &s.Late, 0)
	if at, ok := f.Has("probes"); ok {
		s.Probes = d.probes(at)
	} else if f != nil {
		p.Errorf("has no probes: list at least one")
	}
	if at, ok := f.Has("sandbox"); ok {
		s.Sandbox = d.sandbox(at)
	}
	if at, ok := f.Has("severity"); ok {
		s.Severity = decodeSeverity(at)
	}
	if at, ok := f.Has("moves"); ok {
		decodeMoves(at, &s.Moves)
	}
	return s
}

func (d *decoder) sandbox(p *strictyaml.Node) *Sandbox {
	s := defaultSandbox()
	f := p.Object("command", "want", "interval", "timeout")
	f.Texts("command", &s.Command, nil)
	checkExecutable(f, "command", s.Command)
	want := wantNames[s.Want]
	f.Text("want", &want, strictyaml.OneOf(wantNames...))
	s.Want = diagnose.Want(slices.Index(wantNames, want))
	interval, timeout := f.Duration("interval", &s.Interval, shortest), f.Duration("timeout", &s.Timeout, shortest)
	if interval && timeout {
		under(p, f, s.Timeout, s.Interval)
	}
	return &s
}

var wantNames = []string{diagnose.WantAny: "any", diagnose.WantClosed: "closed", diagnose.WantOpen: "open"}

func decodeSeverity(p *strictyaml.Node) map[diagnose.Cause]diagnose.Severity {
	severities := make(map[diagnose.Cause]diagnose.Severity)
	f := p.Object(causes...)
	for _, name := range causes {
		at, there := f[name]
		if !there {
			continue
		}
		var text string
		strictyaml.Fields{name: at}.Text(name, &text, strictyaml.OneOf("page", "ticket", "info", "none"))
		var cause diagnose.Cause
		var severity diagnose.Severity
		if cause.UnmarshalText([]byte(name)) == nil && severity.UnmarshalText([]byte(text)) == nil {
			severities[cause] = severity
		}
	}
	if len(severities) == 0 {
		return nil
	}
	return severities
}

var causes = func() (names []string) {
	for c := range diagnose.Causes() {
		names = append(names, c.String())
	}
	return names
}()

// movesMost bounds how much past a verdict may hang on: with the default interval ten results are five minutes old.
const movesMost = 10

func decodeMoves(p *strictyaml.Node, m *Moves) {
	f := p.Object("results", "of")
	results, of := f.Integer("results", &m.Results, 1, movesMost), f.Integer("of", &m.Of, 1, movesMost)
	if results && of && m.Results > m.Of {
		p.Errorf("%d results out of %d cannot be: make of at least %d", m.Results, m.Of, m.Results)
	}
}
