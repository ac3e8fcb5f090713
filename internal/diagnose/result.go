package diagnose

import (
	"slices"

	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// What a result shows by itself is in package outcome. These are the rules' names for it.
var (
	addresses          = outcome.Addresses
	authority          = outcome.Authority
	compareResults     = outcome.Compare
	familyOf           = outcome.FamilyOf
	hostOf             = outcome.HostOf
	isAgentProbe       = outcome.IsAgentProbe
	isAnswered         = outcome.IsAnswered
	isBlockListed      = outcome.IsBlockListed
	isControl          = outcome.IsControl
	isForeignAnswer    = outcome.IsForeignAnswer
	isInexplicable     = outcome.IsInexplicable
	isNameFailure      = outcome.IsNameFailure
	isNameserverAnswer = outcome.IsNameserverAnswer
	isNetworkProbe     = outcome.IsNetworkProbe
	isOfAccount        = outcome.IsOfAccount
	isPeerReached      = outcome.IsPeerReached
	isSelfSigned       = outcome.IsSelfSigned
	isSilent           = outcome.IsSilent
	isTLS              = outcome.IsTLS
	isUnroutable       = outcome.IsUnroutable
	isUntried          = outcome.IsUntried
	nameGone           = outcome.NameGone
	overlaps           = outcome.Overlaps
	rung               = outcome.Rung
)

func isOK(r *probe.Result) bool { return r.OK() }

func hasWarning(r *probe.Result, name string) bool { return slices.Contains(r.Warnings, name) }

func succeededWithWarning(warning string) func(*probe.Result) bool {
	return func(r *probe.Result) bool { return r.OK() && hasWarning(r, warning) }
}

func isDenied(r *probe.Result) bool { return r.Class == probe.LocalDenied }

func isProxyFailure(r *probe.Result) bool { return r.Class.Layer() == "proxy" }

// fromHostsFile reports whether r's addresses are from /etc/hosts.
func fromHostsFile(r *probe.Result) bool { return hasWarning(r, probe.WarnHostsFile) }

func isSamePeer(r, other *probe.Result) bool { return r.Peer != "" && r.Peer == other.Peer }

// isRouting reports whether r failed at the request that tells the agent where to send its turns: every turn fails.
func isRouting(r *probe.Result) bool { return hasWarning(r, probe.WarnRouting) }
