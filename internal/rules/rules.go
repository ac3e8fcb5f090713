// Package rules writes Prometheus alerting rules.
//
// They follow from the table of causes (what each is called, how long it must hold, whom it concerns, what it explains) and
// from the configuration (what it says of severities and intervals), so that they cannot drift from either.
package rules

import (
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
)

// Options are what only the operator of a Prometheus knows.
type Options struct {
	Job       string  // the job label under which netwatchd is scraped
	Runbooks  string  // where docs/runbooks can be read: a URL without a slash at its end
	Objective float64 // the share of the time in which a service should be available, under 1
}

// Default are the options of the rules in deploy/prometheus.
//
// 99.5 % leaves 3.6 hours a month: about what one bad afternoon of a cloud service takes. The runbooks are those that the
// packages install, on the host that the alert is about: they are of the version that wrote the rules, and can be read when
// the network cannot be reached.
func Default() Options {
	return Options{Job: "netwatchd", Objective: .995, Runbooks: "file:///usr/share/doc/netwatchd/docs/runbooks"}
}

// A File is what Prometheus reads under rule_files.
type File struct {
	Groups []Group `yaml:"groups"`

	made string // by this command
}

// Alerts are the rules that raise alerts, in the order of the file.
func (f File) Alerts() []Rule {
	var all []Rule
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				all = append(all, r)
			}
		}
	}
	return all
}

// A Group is evaluated together.
type Group struct {
	Name     string   `yaml:"name"`
	Interval Duration `yaml:"interval,omitempty"`
	Rules    []Rule   `yaml:"rules"`
}

// A Rule records a series or raises an alert.
type Rule struct {
	Record        string            `yaml:"record,omitempty"`
	Alert         string            `yaml:"alert,omitempty"`
	Expr          string            `yaml:"expr"`
	For           Duration          `yaml:"for,omitempty"`
	KeepFiringFor Duration          `yaml:"keep_firing_for,omitempty"`
	Labels        map[string]string `yaml:"labels,omitempty"`
	Annotations   *Annotations      `yaml:"annotations,omitempty"`
}

// Annotations are what a person reads.
type Annotations struct {
	Summary     string `yaml:"summary"`
	Description string `yaml:"description"`
	RunbookURL  string `yaml:"runbook_url"`
}

// A Duration is written as Prometheus wants it: 1h30m, not 1h30m0s.
type Duration time.Duration

// MarshalYAML writes the duration without what is zero.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

// UnmarshalYAML reads what MarshalYAML wrote.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	*d = Duration(parsed)
	return err
}

func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// For returns the rules for a configuration.
func For(c *config.Config, o Options) File {
	b := &builder{Options: o, services: c.Services}
	return File{made: "netwatchd rules", Groups: []Group{
		{Name: "netwatchd.causes", Rules: b.causes()},
		{Name: "netwatchd.self", Rules: b.self()},
		{Name: "netwatchd.availability", Interval: Duration(sampled), Rules: b.availability()},
		{Name: "netwatchd.objective", Rules: b.objective()},
	}}
}

// builder makes rules of what it knows.
type builder struct {
	Options
	services []config.Service
}

// alert completes a rule with what all of them have.
func (b *builder) alert(name string, severity diagnose.Severity, r Rule, summary string, description ...string) Rule {
	r.Alert = name
	if r.Labels == nil {
		r.Labels = make(map[string]string)
	}
	r.Labels["severity"] = severity.String()
	r.Annotations = &Annotations{
		Summary: summary, Description: strings.Join(description, "\n"), RunbookURL: b.Runbooks + "/" + name + ".md",
	}
	return r
}

// heading stands over what is written, for whoever is about to edit it.
const heading = "# Made by `%s`: change the configuration or the table of causes, and make it again.\n"

// Write writes the rules as Prometheus reads them.
func (f File) Write(w io.Writer) error { return write(w, f.made, f) }

// Write writes the section as it stands in Alertmanager's configuration.
func (i Inhibitions) Write(w io.Writer) error { return write(w, "netwatchd rules --inhibit", i) }

func write(w io.Writer, command string, what any) error {
	if _, err := fmt.Fprintf(w, heading, command); err != nil {
		return err
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(what); err != nil {
		return err
	}
	return e.Close()
}
