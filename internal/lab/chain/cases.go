package chain

import (
	"slices"

	"netwatchd/internal/lab/scenes"
	"netwatchd/internal/lab/world"
)

// A HostCase is a host with a fault that is repaired later, and the notifications that must come of it.
type HostCase struct {
	Scene      string     // name in package scenes
	With       string     // another scene at the same time; empty: none
	Notified   []Notified // once when it fires and once when it is resolved; no others may come
	NoRecovery bool       // its end cannot be seen here: after a rejected account the agent is not run for half an hour
	Evidence   string     // the beginning of the description; empty: any
	Killed     bool       // it starts after other cases of the same alert, when one of the two Alertmanagers has been killed
}

// Notified is an alert and its receiver.
type Notified struct{ Receiver, Alert string }

// HostCases has a case for each cause with a notification, and for faults of the alerting itself. Of several scenes
// for a cause it takes a cheap one, because all cases run at the same time.
var HostCases = []HostCase{
	{Scene: "a firewall on this host drops lookups", Notified: []Notified{{tickets, "NetwatchdLocalPolicy"}}},
	{Scene: "the link is down", Notified: []Notified{{tickets, "NetwatchdHostOffline"}}},
	{Scene: "the proxy requires credentials", Notified: []Notified{{tickets, "NetwatchdProxyBroken"}}},
	{Scene: "the resolver is stopped", Notified: []Notified{{tickets, "NetwatchdResolverBroken"}}},
	{Scene: "a captive portal answers 200", Notified: []Notified{{tickets, "NetwatchdInterception"}}},
	{Scene: "this host's clock is a year ahead", Notified: []Notified{{tickets, "NetwatchdClockWrong"}}},
	{Scene: "the network rejects packets to the service", Notified: []Notified{{tickets, "NetwatchdPathBroken"}}},
	{Scene: "the CDN answers with a challenge", Notified: []Notified{{tickets, "NetwatchdEdgeBlocked"}}},
	{Scene: "503", Notified: []Notified{{pager, "NetwatchdUpstreamOutage"}},
		Evidence: "Evidence: head from host: http.server_error;"},
	{Scene: "the service's port is closed", Notified: []Notified{{pager, "NetwatchdUpstreamOutage"}}, Killed: true},
	{Scene: "200 instead of 405", Notified: []Notified{{tickets, "NetwatchdUnexpectedAnswer"}}},
	{Scene: "a load balancer drops idle streams", Notified: []Notified{{pager, "NetwatchdStreamBroken"}}},
	{
		Scene:      "codex 0.104.0: the usage limit is reached",
		Notified:   []Notified{{tickets, "NetwatchdAccount"}},
		NoRecovery: true,
	},
	{Scene: "the sandbox command fails", Notified: []Notified{{tickets, "NetwatchdAgentBroken"}}},
	{Scene: "bubblewrap without network, want: open", Notified: []Notified{{tickets, "NetwatchdSandboxNetworkBlocked"}}},
	{Scene: "bubblewrap with network, want: closed", Notified: []Notified{{security, "NetwatchdSandboxNetworkOpen"}}},
	// The sandbox is a ticket and the service a page. The ticket must not inhibit the page.
	{Scene: "bubblewrap without network, want: open", With: "503",
		Notified: []Notified{{pager, "NetwatchdUpstreamOutage"}, {tickets, "NetwatchdSandboxNetworkBlocked"}}},
}

// The receivers of the shipped routes.
const pager, tickets, security = "pager", "tickets", "security"

// Name is also the instance label in Prometheus.
func (d HostCase) Name() string {
	name := d.Scene
	if d.With != "" {
		name += ", and " + d.With
	}
	if d.Killed {
		name += ", an Alertmanager killed"
	}
	return name
}

// scenes are the scenes of the case.
func (d HostCase) scenes() []*scenes.Scene {
	var all []*scenes.Scene
	for i := range scenes.All {
		if s := &scenes.All[i]; s.Name == d.Scene || s.Name == d.With {
			all = append(all, s)
		}
	}
	return all
}

// config is the configuration of the scenes.
func (d HostCase) config() world.Config {
	var c world.Config
	for _, s := range d.scenes() {
		if s.Config != (world.Config{}) {
			c = s.Config
		}
	}
	return c
}

// notices are the expected notices, sorted.
func (d HostCase) notices() []string {
	statuses := []string{firing, resolved}
	if d.NoRecovery {
		statuses = statuses[:1]
	}
	var all []string
	for _, to := range d.Notified {
		for _, status := range statuses {
			all = append(all, Notice{Receiver: to.Receiver, Alert: to.Alert, Status: status}.String())
		}
	}
	slices.Sort(all)
	return all
}
