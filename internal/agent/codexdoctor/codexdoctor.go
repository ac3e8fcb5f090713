// Package codexdoctor reads the report of `codex doctor --network-only --json`.
package codexdoctor

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"netwatchd/internal/probe"
	"netwatchd/internal/userfile"
)

// A Report is what codex found, by its schema 1 (0.169.0). Its exit code and all that is not read here may change.
type Report struct {
	Class  probe.Class
	Why    string // for people, with text from codex: redact it before it is shown
	Status int    // of an HTTP answer that codex cannot use

	Understood  bool // the report says whether the service was reached, or why that could not be tried
	NoWebSocket bool // codex would use plain requests
	Denied      bool // a socket was refused with EPERM, as by codex's own sandbox
}

// A check is one entry of the report.
type check struct {
	Status  string         `json:"status"` // "ok", "warning", "fail"
	Summary string         `json:"summary"`
	Details map[string]any `json:"details"` // texts, and lists of texts
}

// The checks that are read.
const (
	loads     = "config.load"
	variables = "network.env"
	reaches   = "network.provider_reachability"
	upgrades  = "network.websocket_reachability"
)

// Read reads a report. Of the checks only fail counts: a warning is an answer of the service that other probes judge
// better (429, 5xx), or a WebSocket that codex does without.
func Read(text string) Report {
	var decoded struct {
		Checks map[string]check `json:"checks"`
	}
	if json.Unmarshal([]byte(text), &decoded) != nil {
		return Report{Class: probe.OK}
	}
	checks := decoded.Checks
	if c := checks[loads]; c.Status == "fail" {
		return Report{Class: probe.ExecConfigInvalid, Why: c.configError(), Understood: true}
	}
	service, understood := checks[reaches]
	r := Report{Class: probe.OK, Understood: understood, NoWebSocket: checks[upgrades].Status == "warning",
		Denied: strings.Contains(checks[upgrades].detail("DNS"), "(os error 1)")}
	switch service.Status {
	case "fail":
		r.Class, r.Why = probe.ExecNetwork, service.refused()
		if m := unusable.FindStringSubmatch(r.Why); m != nil {
			r.Class = probe.HTTPUnexpectedStatus
			r.Status, _ = strconv.Atoi(m[1])
		}
		if env := checks[variables]; env.Status != "ok" && env.Summary != "" {
			r.Why += "; " + env.Summary
		}
	case "warning":
		r.Why = service.Summary
	}
	return r
}

// unusable matches an answer of the service that codex cannot use: 404 below a wrong base URL.
var unusable = regexp.MustCompile(`returned HTTP (\d{3}) \(required\)`)

// refused returns the endpoints that failed and how: codex marks those that it needs.
func (c check) refused() string {
	var all []string
	for name := range c.Details {
		if text := c.detail(name); strings.HasSuffix(text, "(required)") {
			all = append(all, name+": "+text)
		}
	}
	if len(all) == 0 {
		return c.Summary
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// configError names the file and the line, but nothing that stands there.
func (c check) configError() string {
	words := c.Summary
	if text := c.detail("error"); text != "" {
		words = text
	}
	if file := c.detail("file"); file != "" {
		words += ": " + userfile.Short(file)
		if line := c.detail("line"); line != "" {
			words += ":" + line
		}
	}
	return words
}

// detail returns a detail as text, or nothing if it is absent or a list.
func (c check) detail(name string) string {
	switch value := c.Details[name].(type) {
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
	return ""
}
