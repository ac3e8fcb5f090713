package web

import (
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/watch"
)

// /api/v1/events is a stream of server-sent events (WHATWG HTML, 9.2), for whoever wants to know at once. Each has JSON in
// its data:
//
//	event: snapshot     on connecting: what stands, of every service
//	event: verdict      when a verdict moves: what stands now, and the cause before it
//	event: heartbeat    every ten seconds: silence means that the connection is lost
//
// Snapshots and verdicts have an id. A client that connects again with Last-Event-ID gets the verdicts since instead of a
// snapshot, if they are remembered still: the last 256 are, until netwatchd ends. A client that does not take its events is
// disconnected; beyond a hundred clients the answer is 503 unavailable, with Retry-After.
type (
	snapshotEvent struct {
		At       time.Time  `json:"at"`
		Version  string     `json:"version"`
		Services []standing `json:"services"`
	}
	verdictEvent struct {
		At  time.Time      `json:"at"`
		Was diagnose.Cause `json:"was"`
		standing
	}
	heartbeatEvent struct {
		At time.Time `json:"at"`
	}
)

// A standing is a verdict in short; the whole of it is in /api/v1/status.
type standing struct {
	Service  string            `json:"service"`
	Cause    diagnose.Cause    `json:"cause"`
	Severity diagnose.Severity `json:"severity"`
	Title    string            `json:"title"`
	Advice   string            `json:"advice"`
	Since    time.Time         `json:"since"`
}

func standingOf(s watch.Standing) standing {
	return standing{s.Service, s.Cause, s.Severity, s.Title, s.Advice, s.Since}
}
