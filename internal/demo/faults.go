package demo

import (
	"net/http"

	"netwatchd/internal/causes"
	"netwatchd/internal/demo/internet"
)

// A Fault is one entry of the menu.
type Fault struct {
	Key   string // that injects it
	Title string
	Cause causes.Cause // of the verdict

	conditions    internet.Conditions
	closedSandbox bool
}

// Faults are what can be injected. The first is no fault. Titles are at most 34 characters long, so that two columns
// fit into a terminal of 80.
//
// A captive portal is missing: netwatchd does not suspect the network path to a server on loopback.
var Faults = []Fault{
	{Key: "0", Title: "nothing is broken", Cause: causes.Healthy},
	{Key: "1", Title: "the nameserver stops answering", Cause: causes.Resolver,
		conditions: internet.Conditions{SilentResolver: true}},
	{Key: "2", Title: "the service answers 503", Cause: causes.Upstream,
		conditions: internet.Conditions{Status: http.StatusServiceUnavailable}},
	{Key: "3", Title: "a firewall inspects TLS", Cause: causes.Interception,
		conditions: internet.Conditions{Inspected: true}},
	{Key: "4", Title: "the service's certificate expires", Cause: causes.Upstream,
		conditions: internet.Conditions{ExpiredCertificate: true}},
	{Key: "5", Title: "streams are disconnected", Cause: causes.Stream,
		conditions: internet.Conditions{CutStreams: true}},
	{Key: "6", Title: "the agent's sandbox is closed", Cause: causes.Sandbox, closedSandbox: true},
	{Key: "7", Title: "the CDN blocks this address", Cause: causes.EdgeBlocked,
		conditions: internet.Conditions{Status: http.StatusForbidden}},
}
