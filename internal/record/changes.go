package record

import (
	"fmt"
	"slices"
	"strings"

	"netwatchd/internal/incident"
	"netwatchd/internal/snapshot"
)

// A Change is something on this host that was different when the incident closed.
type Change struct {
	What   string `json:"what"`
	Before string `json:"before"` // empty: it was not there
	After  string `json:"after"`  // empty: it was no longer there
}

// changeLimit bounds the list: a person compares twenty lines, not a rewritten file.
const changeLimit = 20

// changes compares the snapshots of the incident's beginning and end.
func (r *Record) changes(d *incident.Detail) {
	end := readSnapshot(d.End)
	if r.Closed == nil || r.Runtime == nil || end == nil {
		return
	}
	r.Changes = []Change{}
	before, after := described(r.Runtime), described(end)
	for _, f := range before {
		if now, _ := find(after, f.what); now != f.text {
			r.Changes = append(r.Changes, Change{f.what, f.text, now})
		}
	}
	for _, f := range after {
		if _, known := find(before, f.what); !known {
			r.Changes = append(r.Changes, Change{f.what, "", f.text})
		}
	}
	r.Changes = r.Changes[:min(len(r.Changes), changeLimit)]
}

type fact struct{ what, text string }

func find(all []fact, what string) (text string, ok bool) {
	i := slices.IndexFunc(all, func(f fact) bool { return f.what == what })
	if i < 0 {
		return "", false
	}
	return all[i].text, true
}

// described lists what a snapshot says, one fact at a time.
func described(s *snapshot.Snapshot) []fact {
	all := []fact{{"kernel", s.Kernel}, {"WSL networking", s.WSL.Networking}, {"WSL DNS", s.WSL.DNS}}
	for _, p := range s.Programs {
		all = append(all, fact{p.Name, strings.TrimSpace(p.Version + " " + p.Path + p.Fault)})
	}
	for _, e := range s.Environment {
		all = append(all, fact{"environment: " + e.Name, e.Value})
	}
	if s.Sandbox != nil {
		for _, e := range s.Sandbox.Environment {
			all = append(all, fact{"sandbox environment: " + e.Name, e.Value})
		}
	}
	if s.Agent == nil {
		return all
	}
	all = append(all, fact{"sign-in", s.Agent.SignIn})
	if p := s.Agent.Policy; p != nil {
		all = append(all, fact{"policy: network_access", fmt.Sprint(p.Network)}, fact{"policy: sandbox_mode", p.Mode},
			fact{"policy: file", p.File})
	}
	all = append(all, settings(s.Agent.Configuration)...)
	for _, f := range s.Agent.Flags {
		all = append(all, fact{"feature: " + f.Name, fmt.Sprintf("%s, %v", f.Stage, f.On)})
	}
	return all
}

// settings lists the lines of TOML under the table they belong to.
func settings(toml string) (all []fact) {
	section := ""
	for line := range strings.Lines(toml) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]") + "."
			continue
		}
		if name, value, ok := strings.Cut(line, " = "); ok {
			all = append(all, fact{"configuration: " + section + name, value})
		}
	}
	return all
}
