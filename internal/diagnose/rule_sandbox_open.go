package diagnose

import (
	"netwatchd/internal/probe"
	"strings"
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

// through reports whether twin r got out of the sandbox. A refused connection shows nothing: an empty namespace refuses
// as well. Neither does an answer of the sandbox's own proxy, unless a certificate proves that it passed the request on.
func escapedSandbox(r *probe.Result) bool {
	layer := r.Class.Layer()
	switch {
	case r.OK():
		return true
	case r.Kind == probe.KindExec:
		return r.Class == probe.ExecUsageLimit || r.Class == probe.ExecRateLimited || r.Class == probe.ExecOverloaded
	case r.Kind == probe.KindDNS:
		return isNameserverAnswer(r) // a nameserver's no has come through as well
	case r.Proxy != "":
		return layer == "http" && isAnswered(r) && strings.HasPrefix(r.Target, "https://")
	}
	return r.Phase >= probe.Handshake && (layer == "tls" || layer == "http" || layer == "stream")
}
