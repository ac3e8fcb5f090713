package httpprobe

import (
	"context"
	"sync"
	"time"

	"netwatchd/internal/probe"
)

// A SizeCheck makes a Request and finds out whether the size of packets is why it fails: if the server accepts the
// connection and does not answer, it makes the same request with small packets, and over TLS also with a small
// ClientHello. A tunnel whose MTU is too large loses full packets without a word where ICMP is filtered (RFC 2923), and
// some middleboxes lose a ClientHello that takes two packets. If one of them gets further, the facts of the request
// have the warning [probe.WarnSmallPackets] or [probe.WarnSmallHello].
type SizeCheck struct{ *Request }

// quietBeforeSmall is how long the request has no answer before the smaller ones start. A service answers in less over
// most links, and in a confirming round 1.3 s remain for the smaller requests.
const quietBeforeSmall = 500 * time.Millisecond

// attempted is the end of one request.
type attempted struct {
	facts probe.Facts
	err   error
}

// Probe implements [probe.Prober].
func (c SizeCheck) Probe(ctx context.Context) (probe.Facts, error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer func() { cancel(); all.Wait() }()
	usual := start(ctx, &all, c.Request)
	quiet := time.NewTimer(quietBeforeSmall)
	defer quiet.Stop()
	var a attempted
	var smaller map[string]<-chan attempted
	select {
	case a = <-usual:
		if a.maybeTooLarge() {
			smaller = c.startSmaller(ctx, &all)
		}
	case <-quiet.C:
		smaller = c.startSmaller(ctx, &all)
		a = <-usual
	}
	if !a.maybeTooLarge() {
		return a.facts, a.err
	}
	for _, warning := range []string{probe.WarnSmallPackets, probe.WarnSmallHello} {
		ended, started := smaller[warning]
		if started && (<-ended).isAnswered(a) {
			a.facts.Warnings = append(a.facts.Warnings, warning)
		}
	}
	return a.facts, a.err
}

// startSmaller starts the smaller requests, by the warning that each causes if it is answered.
func (c SizeCheck) startSmaller(ctx context.Context, all *sync.WaitGroup) map[string]<-chan attempted {
	packets, hello := *c.Request, *c.Request
	packets.SmallPackets, hello.SmallHello = true, true
	smaller := map[string]<-chan attempted{probe.WarnSmallPackets: start(ctx, all, &packets)}
	if c.URL.Scheme == "https" {
		smaller[probe.WarnSmallHello] = start(ctx, all, &hello)
	}
	return smaller
}

func start(ctx context.Context, all *sync.WaitGroup, r *Request) <-chan attempted {
	ended := make(chan attempted, 1)
	all.Go(func() {
		var a attempted
		a.facts, a.err = probe.Guard(func() (probe.Facts, error) { return r.Probe(ctx) })
		ended <- a
	})
	return ended
}

// maybeTooLarge reports whether a ended as it does when large packets are lost: connected, and then without an answer.
func (a attempted) maybeTooLarge() bool {
	if a.err == nil || a.facts.Phase <= probe.Connect {
		return false
	}
	switch probe.Classify(a.facts.Phase, a.err) {
	case probe.TLSTimedOut, probe.TLSClosed, probe.HTTPTimedOut:
		return true
	}
	return false
}

// isAnswered reports whether a was answered where the usual request was not.
func (a attempted) isAnswered(usual attempted) bool {
	return !a.maybeTooLarge() && a.facts.Phase >= usual.facts.Phase
}
