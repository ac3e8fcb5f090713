package chain

import (
	"slices"

	"netwatchd/internal/lab/scenes"
	"netwatchd/internal/lab/world"
)

// A Desk is a host on which something goes wrong and is mended again, and who must be told of that.
type Desk struct {
	Scene  string // of package scenes, by name
	With   string // another one, that begins in the same moment; empty: none
	Told   []Told // when it fires and when it is resolved, once each; nobody else may be told anything
	Stays  bool   // its end is not seen here: what an account was refused is not tried again for half an hour
	Killed bool   // it happens when others have told the same, and then one of the two Alertmanagers has been killed
}

// Told is who is told what.
type Told struct{ Receiver, Alert string }

// Desks are one for each cause that someone is told of, and what may go wrong on the way. Of several scenes that show a cause
// it is one that costs little: they are all played at once, and package scenes plays each by itself.
var Desks = []Desk{
	{Scene: "a firewall on this host drops lookups", Told: []Told{{tickets, "CodexLocalPolicy"}}},
	{Scene: "the link is down", Told: []Told{{tickets, "CodexHostOffline"}}},
	{Scene: "the proxy wants credentials", Told: []Told{{tickets, "CodexProxyBroken"}}},
	{Scene: "the resolver is stopped", Told: []Told{{tickets, "CodexResolverBroken"}}},
	{Scene: "a captive portal answers 200", Told: []Told{{tickets, "CodexInterception"}}},
	{Scene: "this host's clock is a year ahead", Told: []Told{{tickets, "CodexClockWrong"}}},
	{Scene: "the CDN challenges", Told: []Told{{tickets, "CodexEdgeBlocked"}}},
	{Scene: "503", Told: []Told{{pager, "CodexUpstreamOutage"}}},
	{Scene: "the service's port is closed", Told: []Told{{pager, "CodexUpstreamOutage"}}, Killed: true},
	{Scene: "200 instead of 405", Told: []Told{{tickets, "CodexUnexpectedAnswer"}}},
	{Scene: "a load balancer cuts streams that idle", Told: []Told{{pager, "CodexStreamBroken"}}},
	{Scene: "codex 0.104.0: the usage limit is reached", Told: []Told{{tickets, "CodexAccount"}}, Stays: true},
	{Scene: "the sandbox's command refuses", Told: []Told{{tickets, "CodexAgentBroken"}}},
	{Scene: "bubblewrap without network, wanted open", Told: []Told{{tickets, "CodexSandboxNetworkBlocked"}}},
	{Scene: "bubblewrap with network, wanted closed", Told: []Told{{security, "CodexSandboxNetworkOpen"}}},
	// The sandbox is a ticket, and the service the page: one, and not held back.
	{Scene: "bubblewrap without network, wanted open", With: "503",
		Told: []Told{{pager, "CodexUpstreamOutage"}, {tickets, "CodexSandboxNetworkBlocked"}}},
}

// The receivers of the shipped routes.
const pager, tickets, security = "pager", "tickets", "security"

// Name is what the desk is called, in Prometheus too.
func (d Desk) Name() string {
	name := d.Scene
	if d.With != "" {
		name += ", and " + d.With
	}
	if d.Killed {
		name += ", an Alertmanager killed"
	}
	return name
}

// scenes are what happens at the desk.
func (d Desk) scenes() []*scenes.Scene {
	var all []*scenes.Scene
	for i := range scenes.All {
		if s := &scenes.All[i]; s.Name == d.Scene || s.Name == d.With {
			all = append(all, s)
		}
	}
	return all
}

// config is what all the scenes want of netwatchd.
func (d Desk) config() world.Config {
	var c world.Config
	for _, s := range d.scenes() {
		if s.Config != (world.Config{}) {
			c = s.Config
		}
	}
	return c
}

// notices are what must be told, in the order of their names.
func (d Desk) notices() []string {
	statuses := []string{firing, resolved}
	if d.Stays {
		statuses = statuses[:1]
	}
	var all []string
	for _, to := range d.Told {
		for _, status := range statuses {
			all = append(all, Notice{Receiver: to.Receiver, Alert: to.Alert, Status: status}.String())
		}
	}
	slices.Sort(all)
	return all
}
