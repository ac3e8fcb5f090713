package diagnose_test

import (
	"strings"
	"testing"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

func downRound(class probe.Class, phase probe.Phase, expect diagnose.Expect) diagnose.Round {
	head := probe.Result{Spec: probe.Spec{Service: "billing", Name: "health", Kind: probe.KindHTTP, Target: "https://10.0.0.7:8443/"},
		Class: class, Facts: probe.Facts{Phase: phase, Peer: "10.0.0.7:8443"}}
	control := probe.Result{Spec: probe.Spec{Service: "controls", Name: "gateway", Kind: probe.KindHTTP, Role: probe.ControlByAddress}, Class: probe.OK}
	return diagnose.Round{Service: "billing", Results: []probe.Result{head, control}, Expect: expect}
}

// Nobody waits for a vendor if the service is theirs.
func TestAdviceOnAnOwnService(t *testing.T) {
	for _, tt := range []struct {
		class probe.Class
		phase probe.Phase
		cause causes.Cause
		want  string
	}{
		{probe.TCPRefused, probe.Connect, causes.Upstream, "Nothing listens at 10.0.0.7:8443."},
		{probe.TCPTimedOut, probe.Connect, causes.Upstream, "whether the host of the service is up"},
		{probe.TLSProtocolError, probe.Handshake, causes.Upstream, "write http:// in the target"},
		{probe.HTTPServerError, probe.Response, causes.Upstream, "Read the log of the service"},
		{probe.HTTPTimedOut, probe.Response, causes.Upstream, "does not answer in time"},
		{probe.HTTPUnexpectedStatus, probe.Response, causes.UnexpectedAnswer, "was the service deployed or moved?"},
		{probe.HTTPRateLimited, probe.Response, causes.EdgeBlocked, "the rate limit in front of the service"},
	} {
		v := diagnose.Of(downRound(tt.class, tt.phase, diagnose.Expect{Owner: diagnose.Us}))
		if v.Cause != tt.cause || !strings.Contains(v.Advice, tt.want) {
			t.Errorf("%v: got %v: %q, want %v: %q", tt.class, v.Cause, v.Advice, tt.cause, tt.want)
		}
		for _, vendor := range []string{"status page", "wait", "Wait", "Nothing to fix"} {
			if strings.Contains(v.Advice, vendor) {
				t.Errorf("%v: %q sends the owner to a vendor", tt.class, v.Advice)
			}
		}
		theirs := diagnose.Of(downRound(tt.class, tt.phase, diagnose.Expect{Owner: diagnose.Vendor}))
		if theirs.Advice == v.Advice {
			t.Errorf("%v: the same advice whoever owns the service: %q", tt.class, v.Advice)
		}
	}
}

// A server on this host needs no internet: without a control nobody is paged, but the advice is the same.
func TestAdviceOnAnOwnServiceWithoutControls(t *testing.T) {
	down := downRound(probe.TCPRefused, probe.Connect, diagnose.Expect{Owner: diagnose.Us})
	down.Results[0].Target, down.Results[0].Peer = "http://127.0.0.1:8080/", "127.0.0.1:8080"
	down.Results[1].Class = probe.TCPTimedOut
	if v := diagnose.Of(down); v.Cause != causes.Inconclusive || !strings.Contains(v.Advice, "Nothing listens at 127.0.0.1:8080.") {
		t.Errorf("got %v: %q", v.Cause, v.Advice)
	}
}

// The advice of the configuration is about the service, not about this host.
func TestConfiguredAdvice(t *testing.T) {
	profile := diagnose.Profile{Owner: "us", Runbook: "https://wiki.example/billing"}
	expect := diagnose.Expect{Owner: diagnose.Us, Advice: "Restart it.", Profile: profile}
	down := downRound(probe.TCPRefused, probe.Connect, expect)
	if v := diagnose.Of(down); v.Advice != "Restart it." || v.Runbook != profile.Runbook || v.Owner != "us" {
		t.Errorf("got %q, %+v", v.Advice, v.Profile)
	}
	down.Results[0].Class = probe.LocalDenied
	if v := diagnose.Of(down); v.Cause != causes.LocalPolicy || v.Advice == "Restart it." {
		t.Errorf("%v: got %q", v.Cause, v.Advice)
	}
}
