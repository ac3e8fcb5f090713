package demo

import (
	"fmt"
	"net/http"
	"strings"

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

// faults are what can be injected. The first is no fault. Titles are at most 34 characters long, so that two columns
// fit into a terminal of 80.
var faults = []Fault{
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
	{Key: "8", Title: "a captive portal wants a sign-in", Cause: causes.Interception,
		conditions: internet.Conditions{Portal: true}},
}

// Menu describes the faults, a line each.
func Menu() string {
	var text strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&text, "    %s  %s: %v\n", f.Key, f.Title, f.Cause)
	}
	return text.String()
}
