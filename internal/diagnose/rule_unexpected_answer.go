package diagnose

import (
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

func unexpectedAnswer(g *groupedRound) *finding {
	if r := g.failureOf(probe.TLSClientCertificate); r != nil {
		return &finding{title: words.ClientCertificateTitle(r), advice: words.ClientCertificateAdvice(r),
			evidence: []*probe.Result{r, g.reachedControl()}}
	}
	r := g.failureOf(probe.HTTPUnexpectedStatus, probe.HTTPUnexpectedHeader, probe.HTTPUnexpectedBody,
		probe.HTTPUnauthorized, probe.HTTPRedirected)
	if r != nil && g.isAuthenticated(r) {
		return &finding{title: words.UnexpectedTitle(r), evidence: []*probe.Result{r, g.reachedControl()}}
	}
	if r = g.agentAnswer(probe.HTTPUnexpectedStatus); r != nil {
		return &finding{title: words.UnexpectedForAgentTitle(r), advice: words.AdviceUnexpectedForAgent,
			evidence: []*probe.Result{r, g.secondRunOf(r), g.bestSuccess(), g.reachedControl()}}
	}
	if r = g.failure(g.isServiceAnswerToAgent); r != nil {
		return &finding{title: serviceAnswerTitle(g, r), advice: words.AdviceUnexpectedForAgent,
			evidence: []*probe.Result{r, g.secondRunOf(r), g.bestSuccess(), g.reachedControl()}}
	}
	// A wrong answer that brokenResolver did not blame on the resolver is what every resolver returns.
	if r = g.failureOf(probe.DNSWrongAnswer); r != nil {
		return &finding{title: words.TitleUnexpectedName, evidence: []*probe.Result{r,
			g.nameserver(probe.Direct, probe.ResolverAsksService, not(isOK)), g.reachedControl()}}
	}
	if r = g.failure(func(r *probe.Result) bool { return r.Class == probe.ExecUnexpectedOutput }); r != nil {
		return &finding{title: words.TitleUnexpectedOutput, advice: words.AdviceUnexpectedOutput,
			evidence: []*probe.Result{r, g.bestSuccess()}}
	}
	return nil
}
