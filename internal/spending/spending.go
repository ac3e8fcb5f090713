// Package spending sums up what the runs of an agent have used within a day.
package spending

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/humanize"
	"netwatchd/internal/probe"
)

// A Run is what one run of an agent has used, as far as its agent reports that.
type Run struct {
	At       time.Time          `json:"at"` // its end
	Requests int                `json:"requests,omitzero"`
	Tokens   *probe.TokensSpent `json:"tokens,omitempty"`
	CostUSD  *float64           `json:"cost_usd,omitempty"`
}

// limit bounds how many runs are taken from a store, which may be damaged: one a minute is the highest budget.
const limit = 24 * 60

// isValid is false for what no run reports; a store may be damaged.
func (r Run) isValid() bool {
	t := r.Tokens
	return r.Requests >= 0 && (t == nil || t.Input >= 0 && t.CachedInput >= 0 && t.Output >= 0) &&
		(r.CostUSD == nil || *r.CostUSD >= 0)
}

// Restored returns what counts of runs from a store. One of the future, before the clock was set back, ended now.
func Restored(runs []Run, now time.Time) (all []Run) {
	for _, r := range runs[max(0, len(runs)-limit):] {
		if r.isValid() {
			if r.At.After(now) {
				r.At = now
			}
			all = append(all, r)
		}
	}
	return all
}

// Add returns the runs of the day that ends now, with one that ends now.
func Add(runs []Run, r probe.Result, now time.Time) []Run {
	runs = slices.DeleteFunc(runs, func(old Run) bool { return !IsOfDay(old.At, now) })
	used := Run{At: now, Requests: r.Requests, Tokens: r.Tokens, CostUSD: r.CostUSD}
	if (used.Requests != 0 || used.Tokens != nil || used.CostUSD != nil) && used.isValid() {
		runs = append(runs, used)
	}
	return runs
}

// IsOfDay reports whether at is within the day that ends now: budgets have no midnight, because two full budgets could
// be used up around it.
func IsOfDay(at, now time.Time) bool { return now.Sub(at) < 24*time.Hour }

// A Sum is what the runs of an agent have used within the last day.
type Sum struct {
	Runs     int                `json:"runs"`               // started
	Requests int                `json:"requests"`           // as reported, or else one for each run that ended
	Tokens   *probe.TokensSpent `json:"tokens,omitempty"`   // nil: no run reported any
	CostUSD  *float64           `json:"cost_usd,omitempty"` // nil: no run reported a cost
}

// Of sums up the day that ends now, by when runs started and what they used.
func Of(starts []time.Time, runs []Run, now time.Time) *Sum {
	s := new(Sum)
	for _, at := range starts {
		if IsOfDay(at, now) {
			s.Runs++
		}
	}
	for _, r := range runs {
		if IsOfDay(r.At, now) {
			s.add(r)
		}
	}
	return s
}

func (s *Sum) add(r Run) {
	s.Requests += r.Requests
	if r.Tokens != nil {
		if s.Tokens == nil {
			s.Tokens = new(probe.TokensSpent)
		}
		s.Tokens.Add(*r.Tokens)
	}
	if r.CostUSD != nil {
		if s.CostUSD == nil {
			s.CostUSD = new(float64)
		}
		*s.CostUSD += *r.CostUSD
	}
}

// Total is what a budget in tokens counts: cached input is a part of the input.
func (s *Sum) Total() int64 {
	if s.Tokens == nil {
		return 0
	}
	return s.Tokens.Input + s.Tokens.Output
}

// String is for people: "3 requests, 12345 tokens, $0.0042 in 24 hours".
func (s *Sum) String() string {
	parts := []string{humanize.Count(s.Requests, "request")}
	if s.Tokens != nil {
		parts = append(parts, fmt.Sprintf("%d tokens", s.Total()))
	}
	if s.CostUSD != nil {
		parts = append(parts, fmt.Sprintf("$%.4f", *s.CostUSD)) // a short run costs less than a cent
	}
	return strings.Join(parts, ", ") + " in 24 hours"
}
