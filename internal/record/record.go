// Package record writes the report of an incident from what is stored: the page a person would otherwise write by
// hand.
//
// Every statement in a record refers to a result that is also in the record.
package record

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/humanize"
	"netwatchd/internal/incident"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
	"netwatchd/internal/snapshot"
	"netwatchd/internal/watch"
)

// A Record is the full report of an incident.
type Record struct {
	facts
	Scope       Scope              `json:"scope"`
	Runtime     *snapshot.Snapshot `json:"runtime"` // nil: no snapshot was taken
	Symptom     []Symptom          `json:"symptom"`
	Verdict     Verdict            `json:"verdict"`
	Evidence    []Exhibit          `json:"evidence"`
	Beside      []Pair             `json:"host_beside_sandbox"`
	Transitions []Transition       `json:"transitions"`
	Backtest    *Backtest          `json:"backtest"` // nil: the agent has not run since the incident closed
	Recovery    *Recovery          `json:"recovery,omitempty"`
	Warnings    []Warning          `json:"warnings"`
	Do          []string           `json:"do"`
	Change      *snapshot.Change   `json:"change,omitempty"` // what allows the network; nil: the sandbox is not the cause
	Changes     []Change           `json:"changes"`          // what differed on this host when it closed; nil: unknown
}

// facts are the fields of the incident, named as in a list of incidents.
type facts incident.Incident

// Scope says what was affected and when.
type Scope struct {
	Service  string        `json:"service"`
	Targets  []string      `json:"targets"`
	Vantages []string      `json:"vantages"`
	From     time.Time     `json:"from"`
	To       *time.Time    `json:"to"` // nil: still open
	Lasted   probe.Seconds `json:"lasted_seconds,omitempty"`
	Versions []string      `json:"netwatchd_versions"`

	// RecordedAt is when the snapshot was taken, by the host's clock and with its offset from UTC.
	RecordedAt string `json:"recorded_at,omitempty"`
	Zone       string `json:"zone,omitempty"`
	Workspace  string `json:"workspace,omitempty"` // where the agent ran, if a person said so
}

// A Symptom is the verbatim message of something that failed.
type Symptom struct {
	Exhibit int    `json:"exhibit"`
	Text    string `json:"text"`
}

// A Verdict is the incident's latest verdict that named a fault.
type Verdict struct {
	Cause    causes.Cause       `json:"cause"`
	Severity causes.Severity    `json:"severity"`
	Title    string             `json:"title"`
	Means    string             `json:"means"`
	Since    time.Time          `json:"since"`
	Delay    probe.Seconds      `json:"delay_seconds"`
	Also     []diagnose.Finding `json:"also"`
	Missing  []string           `json:"missing"`
	Blocked  []string           `json:"blocked"`
	Exhibits []int              `json:"exhibits"` // that support it
}

// An Exhibit is a stored result and its number in the record.
type Exhibit struct {
	Number int          `json:"number"`
	Result probe.Result `json:"result"`
}

// A Pair is one probe's results on the host and in the agent's sandbox, from the same round.
type Pair struct {
	Probe   string        `json:"probe"`
	Kind    probe.Kind    `json:"kind"`
	Host    *probe.Result `json:"host"`
	Sandbox *probe.Result `json:"sandbox"`
}

// A Transition is an entry of the timeline.
type Transition struct {
	At       time.Time `json:"at"`
	What     string    `json:"what"` // verdict, run, backtest, suspend, start, stop or note
	Text     string    `json:"text"`
	Exhibits []int     `json:"exhibits,omitempty"`
}

// A Backtest counts the agent's runs on the host after the service recovered; for an observation, all those that a
// person made. Host and Sandbox count those made with backtest, whenever they were.
type Backtest struct {
	Tally
	Host    *Tally `json:"host,omitempty"`
	Sandbox *Tally `json:"sandbox,omitempty"`
}

// A Tally counts runs of the agent.
type Tally struct {
	Runs     int   `json:"runs"`
	OK       int   `json:"ok"`
	Exhibits []int `json:"exhibits"`
}

// A Warning was reported by a run that it did not block.
type Warning struct {
	Name     string   `json:"name"`
	Count    int      `json:"count"`
	Vantages []string `json:"vantages"` // where it was reported
	Exhibits []int    `json:"exhibits"`
}

// exhibitLimit bounds the evidence: a person reads the first ten results and searches the rest.
const exhibitLimit = 60

// Of returns the record of an incident.
func Of(d *incident.Detail) *Record {
	r := &Record{facts: facts(*d.Incident.Clone()),
		Symptom: []Symptom{}, Evidence: []Exhibit{}, Beside: []Pair{}, Warnings: []Warning{}}
	if r.Notes == nil {
		r.Notes = []incident.Note{}
	}
	if r.Causes == nil {
		r.Causes = []incident.Span{}
	}
	standing := decisive(d)
	r.Runtime = readSnapshot(d.Snapshot)
	policy := r.policy(standing)
	r.verdict(standing)
	for _, v := range d.Verdicts {
		r.exhibits(v.Status.Evidence...)
	}
	r.exhibits(d.Evidence...)
	r.symptoms(d)
	r.Verdict.Exhibits = slices.Concat(policy, r.Verdict.Exhibits)
	r.pairs(d)
	r.transitions(d)
	r.backtest(d)
	r.recovery(d)
	r.scope(d)
	r.warnings()
	r.advice(standing)
	r.changes(d)
	return r
}

// decisive returns the status that the record explains: that of the latest fault. The verdict that ends an observation
// can name a fault too: the sandbox is open.
func decisive(d *incident.Detail) watch.ServiceStatus {
	i := d.Incident
	for _, v := range slices.Backward(d.Verdicts) {
		if v.Status.IsIncident() && (!i.Observation || v.Status.Cause == i.Cause()) {
			return v.Status
		}
	}
	s := watch.ServiceStatus{Verdict: diagnose.NotReady(i.Service, i.Cause()), Since: i.Opened}
	s.Title = cmp.Or(i.Title, s.Title)
	return s
}

// readSnapshot returns nil if there is no snapshot.
func readSnapshot(text json.RawMessage) *snapshot.Snapshot {
	var s snapshot.Snapshot
	if len(text) == 0 || bytes.Equal(text, []byte("null")) || json.Unmarshal(text, &s) != nil {
		return nil
	}
	return &s
}

// policy makes the agent's policy, and what its sandbox says of itself, the first evidence where the sandbox is the
// cause: they show that the network was denied on purpose. It returns their numbers.
func (r *Record) policy(s watch.ServiceStatus) (numbers []int) {
	if s.Cause != causes.Sandbox && s.Cause != causes.SandboxOpen || r.Runtime == nil {
		return nil
	}
	found := probe.Result{Spec: probe.Spec{Service: r.Service, Name: "policy", Kind: probe.KindHost,
		Vantage: probe.FromSandbox, Role: probe.OfHost}, Start: r.Runtime.At}
	if a := r.Runtime.Agent; a != nil && a.Policy != nil {
		found.Target = cmp.Or(a.Policy.File, "the agent's default")
		found.Class, found.Why = probe.OK, ""
		setting := fmt.Sprintf("sandbox_policy.network_access=%v", a.Policy.Network)
		if a.Policy.Mode != "" {
			setting += ", sandbox_mode=" + a.Policy.Mode
		}
		if a.Policy.Network {
			found.Output = setting
		} else {
			found.Class, found.Why = probe.LocalDenied, setting
		}
		numbers = append(numbers, r.exhibits(found)...)
	}
	if r.Runtime.Sandbox == nil {
		return numbers
	}
	for _, e := range r.Runtime.Sandbox.Environment {
		if e.Name == "CODEX_SANDBOX_NETWORK_DISABLED" && e.Value == "1" {
			found.Name, found.Target, found.Output = "environment", "the sandbox's environment", ""
			found.Class, found.Why = probe.LocalDenied, e.Name+"="+e.Value
			numbers = append(numbers, r.exhibits(found)...)
		}
	}
	return numbers
}

func (r *Record) verdict(s watch.ServiceStatus) {
	r.Verdict = Verdict{
		Cause: s.Cause, Severity: s.Severity, Title: s.Title, Means: s.Cause.About().Means,
		Since: s.Since, Delay: s.Delay,
		Also: filled(s.Also), Missing: filled(s.Missing), Blocked: filled(s.Blocked),
		Exhibits: r.exhibits(s.Evidence...),
	}
}

func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// exhibits adds results to the evidence, each once, and returns their numbers.
func (r *Record) exhibits(results ...probe.Result) []int {
	numbers := []int{}
	for _, result := range results {
		n := slices.IndexFunc(r.Evidence, func(e Exhibit) bool { return same(e.Result, result) })
		if n < 0 {
			if len(r.Evidence) >= exhibitLimit {
				continue
			}
			n = len(r.Evidence)
			r.Evidence = append(r.Evidence, Exhibit{n + 1, result})
		}
		numbers = append(numbers, n+1)
	}
	return numbers
}

func same(a, b probe.Result) bool {
	return a.Spec == b.Spec && a.Start.Equal(b.Start) && a.Server == b.Server && a.Class == b.Class
}

// symptomLimit bounds the messages quoted: the agent's, and that of the decisive probe.
const symptomLimit = 5

// symptoms quotes error messages: the agent's first, because those are what the user has seen.
func (r *Record) symptoms(d *incident.Detail) {
	var failed []probe.Result
	for _, a := range slices.Concat(d.Manual, d.Attempts) {
		if !a.OK() && during(d.Incident, a.Start) {
			failed = append(failed, a)
		}
	}
	if len(r.Verdict.Exhibits) > 0 {
		failed = append(failed, r.Evidence[r.Verdict.Exhibits[0]-1].Result)
	}
	var quoted []string
	for _, f := range failed {
		text := cmp.Or(f.Why, f.Output)
		if f.OK() || text == "" || slices.Contains(quoted, text) || len(quoted) >= symptomLimit {
			continue
		}
		if n := r.exhibits(f); len(n) > 0 {
			quoted = append(quoted, text)
			r.Symptom = append(r.Symptom, Symptom{n[0], text})
		}
	}
}

func during(i *incident.Incident, at time.Time) bool {
	return !at.Before(i.Opened.Add(-leadTime)) && (i.Closed == nil || !at.After(*i.Closed))
}

// leadTime is how long before an incident opens its first failed attempt may have started: the longest attempt takes
// ninety seconds.
const leadTime = 2 * time.Minute

// pairs pairs the service's results on the host with those in the sandbox, in the order of the ladder. It uses the
// latest round of a fault that has sandbox results, or else the latest round of a fault.
func (r *Record) pairs(d *incident.Detail) {
	var best []probe.Result
	for _, v := range slices.Backward(d.Verdicts) {
		results := slices.DeleteFunc(slices.Clone(v.Status.Results), func(p probe.Result) bool {
			return p.Role != probe.OfService
		})
		if !v.Status.IsIncident() || len(results) == 0 {
			continue
		}
		if best == nil {
			best = results
		}
		if slices.ContainsFunc(results, func(p probe.Result) bool { return p.Vantage == probe.FromSandbox }) {
			best = results
			break
		}
	}
	for _, p := range best {
		i := slices.IndexFunc(r.Beside, func(b Pair) bool { return b.Probe == p.Name })
		if i < 0 {
			i = len(r.Beside)
			r.Beside = append(r.Beside, Pair{Probe: p.Name, Kind: p.Kind})
		}
		switch p.Vantage {
		case probe.FromSandbox:
			r.Beside[i].Sandbox = &p
		case probe.FromHost:
			r.Beside[i].Host = &p
		}
	}
	slices.SortFunc(r.Beside, func(a, b Pair) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Probe, b.Probe))
	})
}

func (r *Record) transitions(d *incident.Detail) {
	r.Transitions = []Transition{}
	add := func(at time.Time, what, text string, exhibits ...int) {
		r.Transitions = append(r.Transitions, Transition{at.UTC(), what, text, exhibits})
	}
	for _, v := range d.Verdicts {
		text := v.Status.Cause.String() + ": " + v.Status.Title
		if v.Was != v.Status.Cause {
			text = v.Was.String() + " → " + text
		}
		add(v.At, "verdict", text, r.exhibits(v.Status.Evidence...)...)
	}
	for _, a := range d.Attempts {
		add(a.Start, "run", a.Name+": "+a.Class.String(), r.exhibits(a)...)
	}
	for n, a := range d.Manual {
		text := fmt.Sprintf("run %d of %d, %s: %s %s: %v", n+1, len(d.Manual), place(a.Vantage), a.Name, a.Target, a.Class)
		if a.Output != "" {
			text += ", answer: " + a.Output
		}
		add(a.Start, "backtest", text, r.exhibits(a)...)
	}
	for _, s := range d.Suspends {
		add(s.At, "suspend", "the host was suspended for "+humanize.Span(s.Away))
	}
	for _, n := range r.Notes {
		add(n.At, "note", n.Text)
	}
	r.daemonRuns(d, add)
	slices.SortStableFunc(r.Transitions, func(a, b Transition) int { return a.At.Compare(b.At) })
}

// daemonRuns adds the daemon's starts and stops: in between nothing was monitored.
func (r *Record) daemonRuns(d *incident.Detail, add func(time.Time, string, string, ...int)) {
	for n, run := range d.Runs {
		if run.Started.After(r.Opened) {
			add(run.Started, "start", "netwatchd "+run.Version+" started")
		}
		switch {
		case !run.Ended.IsZero():
			add(run.Ended, "stop", "netwatchd stopped")
		case n < len(d.Runs)-1:
			add(run.Seen, "stop", "netwatchd was last seen running; it did not shut down cleanly")
		}
	}
}

func place(v probe.Vantage) string {
	if v == probe.FromSandbox {
		return "inside the sandbox"
	}
	return "on the host"
}

// backtest counts the agent's runs: see [Backtest].
func (r *Record) backtest(d *incident.Detail) {
	b := &Backtest{Tally: Tally{Exhibits: []int{}}}
	for _, a := range slices.Concat(d.Attempts, d.Manual) {
		recovered := r.Closed != nil && !a.Start.Before(r.Closed.Add(-a.Elapsed.Duration()))
		if a.Vantage != probe.FromSandbox && !r.Observation && recovered {
			r.count(&b.Tally, a)
		}
	}
	for _, a := range d.Manual {
		switch {
		case a.Vantage == probe.FromSandbox:
			b.Sandbox = cmp.Or(b.Sandbox, new(Tally))
			r.count(b.Sandbox, a)
		default:
			b.Host = cmp.Or(b.Host, new(Tally))
			r.count(b.Host, a)
		}
	}
	if r.Observation && b.Host != nil {
		b.Tally = *b.Host
	}
	if b.Runs > 0 || b.Host != nil || b.Sandbox != nil {
		r.Backtest = b
	}
}

func (r *Record) count(t *Tally, a probe.Result) {
	t.Runs++
	if a.OK() {
		t.OK++
	}
	t.Exhibits = append(t.Exhibits, r.exhibits(a)...)
}

func (r *Record) scope(d *incident.Detail) {
	r.Scope = Scope{Service: r.Service, From: r.Opened, To: r.Closed,
		Targets: []string{}, Vantages: []string{}, Versions: []string{}}
	if r.Closed != nil {
		r.Scope.Lasted = probe.InSeconds(r.Closed.Sub(r.Opened))
	}
	if r.Runtime != nil {
		r.Scope.RecordedAt, r.Scope.Zone = r.Runtime.LocalTime, r.Runtime.Zone
	}
	for _, e := range r.Evidence {
		if e.Result.Role == probe.OfService {
			r.Scope.Targets = addOnce(r.Scope.Targets, e.Result.Target)
		}
		r.Scope.Vantages = addOnce(r.Scope.Vantages, e.Result.Vantage.String())
	}
	for _, run := range d.Runs {
		r.Scope.Versions = addOnce(r.Scope.Versions, run.Version)
	}
}

func addOnce(list []string, text string) []string {
	if text == "" || slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

func (r *Record) warnings() {
	for _, e := range r.Evidence {
		for _, name := range e.Result.Warnings {
			i := slices.IndexFunc(r.Warnings, func(w Warning) bool { return w.Name == name })
			if i < 0 {
				i = len(r.Warnings)
				r.Warnings = append(r.Warnings, Warning{Name: name})
			}
			r.Warnings[i].Count++
			r.Warnings[i].Vantages = addOnce(r.Warnings[i].Vantages, e.Result.Vantage.String())
			r.Warnings[i].Exhibits = append(r.Warnings[i].Exhibits, e.Number)
		}
	}
}

func (r *Record) advice(s watch.ServiceStatus) {
	r.Do = []string{}
	switch {
	case r.Observation && r.Ended != "":
		r.Do = append(r.Do, "It has ended: "+r.Ended+". If it recurs:")
	case r.Closed != nil && !r.Observation:
		r.Do = append(r.Do, "The incident is closed. If it recurs:")
	}
	r.Do = append(r.Do, cmp.Or(s.Advice, s.Cause.About().Advice))
	for _, l := range ladder.Links(s.Verdict) {
		r.Do = append(r.Do, "See the "+l.Name+": "+l.URL)
	}
	if s.Cause == causes.Sandbox && r.Runtime != nil && r.Runtime.Agent != nil && r.Runtime.Agent.Policy != nil {
		if c := r.Runtime.Agent.Policy.Change; len(c.Lines) > 0 {
			r.Change = &c
		}
	}
	for _, f := range s.Also {
		r.Do = append(r.Do, f.Title+": "+f.Cause.About().Advice)
	}
}

// WithWorkspace adds where the agent ran to a record in JSON, and returns it in both formats.
func WithWorkspace(asJSON []byte, dir string) (markdown string, text []byte, err error) {
	r := new(Record)
	if err := json.Unmarshal(asJSON, r); err != nil {
		return "", nil, err
	}
	r.Scope.Workspace = dir
	text, err = r.JSON()
	return r.Markdown(), text, err
}

// JSON returns the record for programs. Secrets are removed before anything is stored; should one be there anyway, it
// is removed here, at the price of the order of the fields.
func (r *Record) JSON() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	clean, err := redact.JSON(text)
	if err != nil {
		return nil, err
	}
	if !equal(clean, text) {
		text = clean
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// Redacted returns the record as its JSON has it: without secrets, even if one was stored.
func (r *Record) Redacted() (*Record, error) {
	text, err := r.JSON()
	if err != nil {
		return nil, err
	}
	clean := new(Record)
	return clean, json.Unmarshal(text, clean)
}

// Incident returns the incident that the record describes.
func (r *Record) Incident() *incident.Incident { return (*incident.Incident)(&r.facts) }

// equal reports whether two JSON documents are equal.
func equal(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
