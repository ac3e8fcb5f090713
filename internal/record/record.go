// Package record writes down what was wrong, from what is stored: the page a person would otherwise write by hand.
//
// Every statement in it stands on a result that is in it, too.
package record

import (
	"bytes"
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
	"netwatchd/internal/snapshot"
	"netwatchd/internal/watch"
)

// A Record is an incident with all that is known of it.
type Record struct {
	facts
	Scope       Scope              `json:"scope"`
	Runtime     *snapshot.Snapshot `json:"runtime"` // nil: none was taken
	Symptom     []Symptom          `json:"symptom"`
	Verdict     Verdict            `json:"verdict"`
	Evidence    []Exhibit          `json:"evidence"`
	Beside      []Pair             `json:"host_beside_sandbox"`
	Transitions []Transition       `json:"transitions"`
	Backtest    *Backtest          `json:"backtest"` // nil: the agent did not run since
	Warnings    []Warning          `json:"warnings"`
	Do          []string           `json:"do"`
}

// facts are the incident's own, by the names that a list of incidents has.
type facts incident.Incident

// Scope says what it is about.
type Scope struct {
	Service  string        `json:"service"`
	Targets  []string      `json:"targets"`
	Vantages []string      `json:"vantages"`
	From     time.Time     `json:"from"`
	To       *time.Time    `json:"to"` // nil: it lasts
	Lasted   probe.Seconds `json:"lasted_seconds,omitempty"`
	Versions []string      `json:"netwatchd_versions"`
}

// A Symptom is what failed, in its own words.
type Symptom struct {
	Exhibit int    `json:"exhibit"`
	Text    string `json:"text"`
}

// A Verdict is the latest of the incident that named a fault.
type Verdict struct {
	Cause    diagnose.Cause     `json:"cause"`
	Severity diagnose.Severity  `json:"severity"`
	Title    string             `json:"title"`
	Means    string             `json:"means"`
	Since    time.Time          `json:"since"`
	Delay    probe.Seconds      `json:"delay_seconds"`
	Also     []diagnose.Finding `json:"also"`
	Missing  []string           `json:"missing"`
	Blocked  []string           `json:"blocked"`
	Exhibits []int              `json:"exhibits"` // that show it
}

// An Exhibit is a stored result with the number it goes by in the record.
type Exhibit struct {
	Number int          `json:"number"`
	Result probe.Result `json:"result"`
}

// A Pair is one probe, made on the host and inside the agent's sandbox at the same moment.
type Pair struct {
	Probe   string        `json:"probe"`
	Kind    probe.Kind    `json:"kind"`
	Host    *probe.Result `json:"host"`
	Sandbox *probe.Result `json:"sandbox"`
}

// A Transition is something that happened.
type Transition struct {
	At       time.Time `json:"at"`
	What     string    `json:"what"` // verdict, run, suspend, start, stop or note
	Text     string    `json:"text"`
	Exhibits []int     `json:"exhibits,omitempty"`
}

// A Backtest is the agent's runs since the service was well again.
type Backtest struct {
	Runs     int   `json:"runs"`
	OK       int   `json:"ok"`
	Exhibits []int `json:"exhibits"`
}

// A Warning was seen and blocked nothing.
type Warning struct {
	Name     string `json:"name"`
	Count    int    `json:"count"`
	Exhibits []int  `json:"exhibits"`
}

// exhibitLimit bounds what is shown: a person reads the first ten, and searches the rest.
const exhibitLimit = 60

// Of makes the record of what is told.
func Of(t *incident.Detail) *Record {
	r := &Record{facts: facts(*t.Incident.Clone()), Symptom: []Symptom{}, Evidence: []Exhibit{}, Beside: []Pair{}, Warnings: []Warning{}}
	if r.Notes == nil {
		r.Notes = []incident.Note{}
	}
	if r.Causes == nil {
		r.Causes = []incident.Span{}
	}
	standing := decisive(t)
	r.readSnapshot(t)
	r.verdict(standing)
	for _, v := range t.Verdicts {
		r.exhibits(v.Status.Evidence...)
	}
	r.exhibits(t.Evidence...)
	r.symptoms(t)
	r.pairs(t)
	r.transitions(t)
	r.backtest(t)
	r.scope(t)
	r.warnings()
	r.todo(standing)
	return r
}

// decisive is the standing that the record explains: the latest fault.
func decisive(t *incident.Detail) watch.ServiceStatus {
	for _, v := range slices.Backward(t.Verdicts) {
		if v.Status.Cause.Fault() {
			return v.Status
		}
	}
	i := t.Incident
	s := watch.ServiceStatus{Verdict: diagnose.NotReady(i.Service, i.Cause()), Since: i.Opened}
	s.Title = cmp.Or(i.Title, s.Title)
	return s
}

func (r *Record) readSnapshot(t *incident.Detail) {
	var s snapshot.Snapshot
	if len(t.Snapshot) > 0 && !bytes.Equal(t.Snapshot, []byte("null")) && json.Unmarshal(t.Snapshot, &s) == nil {
		r.Runtime = &s
	}
}

func (r *Record) verdict(s watch.ServiceStatus) {
	r.Verdict = Verdict{
		Cause: s.Cause, Severity: s.Severity, Title: s.Title, Means: s.Cause.About().Means, Since: s.Since, Delay: s.Delay,
		Also: filled(s.Also), Missing: filled(s.Missing), Blocked: filled(s.Blocked), Exhibits: r.exhibits(s.Evidence...),
	}
}

func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// exhibits numbers results, each once, and returns their numbers.
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

// symptomLimit is how many are quoted: the agent's own words, and those of the probe that decided.
const symptomLimit = 5

// symptoms quotes what failed: the agent first, since its words are what a person has seen.
func (r *Record) symptoms(t *incident.Detail) {
	var words []probe.Result
	for _, a := range t.Attempts {
		if !a.OK() && during(t.Incident, a.Start) {
			words = append(words, a)
		}
	}
	if len(r.Verdict.Exhibits) > 0 {
		words = append(words, r.Evidence[r.Verdict.Exhibits[0]-1].Result)
	}
	var said []string
	for _, w := range words {
		text := cmp.Or(w.Why, w.Output)
		if w.OK() || text == "" || slices.Contains(said, text) || len(said) >= symptomLimit {
			continue
		}
		if n := r.exhibits(w); len(n) > 0 {
			said = append(said, text)
			r.Symptom = append(r.Symptom, Symptom{n[0], text})
		}
	}
}

func during(i *incident.Incident, at time.Time) bool {
	return !at.Before(i.Opened.Add(-before)) && (i.Closed == nil || !at.After(*i.Closed))
}

// before is how long before an incident is opened its first signs may have begun: the longest attempt takes ninety seconds.
const before = 2 * time.Minute

// pairs sets the service's probes on the host beside those in the sandbox, from cheap to expensive, of the latest round
// that has both, or else of the latest.
func (r *Record) pairs(t *incident.Detail) {
	var best []probe.Result
	for _, v := range slices.Backward(t.Verdicts) {
		results := slices.DeleteFunc(slices.Clone(v.Status.Results), func(p probe.Result) bool { return p.Role != probe.OfService })
		if !v.Status.Cause.Fault() || len(results) == 0 {
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

func (r *Record) transitions(t *incident.Detail) {
	r.Transitions = []Transition{}
	add := func(at time.Time, what, text string, exhibits ...int) {
		r.Transitions = append(r.Transitions, Transition{at.UTC(), what, text, exhibits})
	}
	for _, v := range t.Verdicts {
		add(v.At, "verdict", v.Was.String()+" → "+v.Status.Cause.String()+": "+v.Status.Title, r.exhibits(v.Status.Evidence...)...)
	}
	for _, a := range t.Attempts {
		add(a.Start, "run", a.Name+": "+a.Class.String(), r.exhibits(a)...)
	}
	for _, s := range t.Suspends {
		add(s.At, "suspend", "this host was away for "+s.Away.Round(time.Second).String())
	}
	for _, n := range r.Notes {
		add(n.At, "note", n.Text)
	}
	r.lives(t, add)
	slices.SortStableFunc(r.Transitions, func(a, b Transition) int { return a.At.Compare(b.At) })
}

// lives tells of the daemon's own starts and ends: what was not watched is not known.
func (r *Record) lives(t *incident.Detail, add func(time.Time, string, string, ...int)) {
	for n, run := range t.Runs {
		if run.Started.After(r.Opened) {
			add(run.Started, "start", "netwatchd "+run.Version+" started")
		}
		switch {
		case !run.Ended.IsZero():
			add(run.Ended, "stop", "netwatchd stopped")
		case n < len(t.Runs)-1:
			add(run.Seen, "stop", "netwatchd was last seen: it ended without a word")
		}
	}
}

// backtest counts the agent's runs since the service was well again.
func (r *Record) backtest(t *incident.Detail) {
	if r.Closed == nil {
		return
	}
	for _, a := range t.Attempts {
		if a.Start.Before(r.Closed.Add(-a.Elapsed.Duration())) {
			continue
		}
		if r.Backtest == nil {
			r.Backtest = new(Backtest)
		}
		r.Backtest.Runs++
		if a.OK() {
			r.Backtest.OK++
		}
		r.Backtest.Exhibits = append(r.Backtest.Exhibits, r.exhibits(a)...)
	}
}

func (r *Record) scope(t *incident.Detail) {
	r.Scope = Scope{Service: r.Service, Targets: []string{}, Vantages: []string{}, From: r.Opened, To: r.Closed, Versions: []string{}}
	if r.Closed != nil {
		r.Scope.Lasted = probe.InSeconds(r.Closed.Sub(r.Opened))
	}
	for _, e := range r.Evidence {
		if e.Result.Role == probe.OfService {
			r.Scope.Targets = once(r.Scope.Targets, e.Result.Target)
		}
		r.Scope.Vantages = once(r.Scope.Vantages, e.Result.Vantage.String())
	}
	for _, run := range t.Runs {
		r.Scope.Versions = once(r.Scope.Versions, run.Version)
	}
}

func once(list []string, text string) []string {
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
			r.Warnings[i].Exhibits = append(r.Warnings[i].Exhibits, e.Number)
		}
	}
}

func (r *Record) todo(s watch.ServiceStatus) {
	r.Do = []string{}
	if r.Closed != nil {
		r.Do = append(r.Do, "It is over. If it comes back:")
	}
	r.Do = append(r.Do, cmp.Or(s.Advice, s.Cause.About().Advice))
	for _, f := range s.Also {
		r.Do = append(r.Do, f.Title+": "+f.Cause.About().Advice)
	}
}

// JSON is the record for programs. What is stored has no secrets; should one be there all the same, it goes here, and with
// it the order of the fields.
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

// Redacted is the record as its JSON has it: without secrets, should any have been stored all the same.
func (r *Record) Redacted() (*Record, error) {
	text, err := r.JSON()
	if err != nil {
		return nil, err
	}
	clean := new(Record)
	return clean, json.Unmarshal(text, clean)
}

// Incident is the incident it is about.
func (r *Record) Incident() *incident.Incident { return (*incident.Incident)(&r.facts) }

// equal reports whether two documents say the same.
func equal(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
