package diagnose

import (
	"strings"

	"netwatchd/internal/probe"
)

func openSandbox(g *groupedRound) *finding {
	if g.Expect.Sandbox != WantClosed {
		return nil
	}
	r := first(g.sandbox, escapedSandbox)
	if r == nil {
		return nil
	}
	return &finding{evidence: []*probe.Result{r, g.bestSuccess(), g.sandboxCheck()}}
}

// escapedSandbox reports whether sandbox probe r reached the network. A refused connection proves nothing: an empty
// namespace refuses too. Nor does an answer of the sandbox's own proxy, unless a certificate proves that it forwarded
// the request.
func escapedSandbox(r *probe.Result) bool {
	layer := r.Class.Layer()
	switch {
	case r.OK():
		return true
	case r.Kind == probe.KindExec:
		return r.Class == probe.ExecUsageLimit || r.Class == probe.ExecRateLimited || r.Class == probe.ExecOverloaded
	case r.Kind == probe.KindDNS:
		return isNameserverAnswer(r) // a negative answer came from a nameserver too
	case r.Proxy != "":
		return layer == "http" && isAnswered(r) && strings.HasPrefix(r.Target, "https://")
	}
	return r.Phase >= probe.Handshake && (layer == "tls" || layer == "http" || layer == "stream")
}
