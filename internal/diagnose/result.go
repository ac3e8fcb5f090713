package diagnose

import (
	"slices"

	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// What a result shows by itself is in package outcome. These are the rules' names for it.
var (
	addresses             = outcome.Addresses
	compareResults        = outcome.Compare
	escapedSandbox        = outcome.EscapedSandbox
	familyOf              = outcome.FamilyOf
	hostOf                = outcome.HostOf
	isAgentNetworkFailure = outcome.IsAgentNetworkFailure
	isAgentProbe          = outcome.IsAgentProbe
	isAgentRequestFailure = outcome.IsAgentRequestFailure
	isAnswered            = outcome.IsAnswered
	isAnswerToAgent       = outcome.IsAnswerToAgent
	isBlockListed         = outcome.IsBlockListed
	isControl             = outcome.IsControl
	isForeignAnswer       = outcome.IsForeignAnswer
	isInexplicable        = outcome.IsInexplicable
	isNameFailure         = outcome.IsNameFailure
	isNameserverAnswer    = outcome.IsNameserverAnswer
	isNetworkProbe        = outcome.IsNetworkProbe
	isNotStarted          = outcome.IsNotStarted
	isOfAccount           = outcome.IsOfAccount
	isOtherFamily         = outcome.IsOtherFamily
	isPeerReached         = outcome.IsPeerReached
	isRouting             = outcome.IsRouting
	isSameAttempt         = outcome.IsSameAttempt
	isSameEndpoint        = outcome.IsSameEndpoint
	isSameProbe           = outcome.IsSameProbe
	isSelfSigned          = outcome.IsSelfSigned
	isSignInRequest       = outcome.IsSignInRequest
	isSilent              = outcome.IsSilent
	isTLS                 = outcome.IsTLS
	isUnneededLookup      = outcome.IsUnneededLookup
	isUnroutable          = outcome.IsUnroutable
	isUntried             = outcome.IsUntried
	nameGone              = outcome.NameGone
	overlaps              = outcome.Overlaps
	rung                  = outcome.Rung
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
