package connect

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/authorities"
	"netwatchd/internal/redact"
)

// verify judges a certificate as the client would, and notes if this host would judge differently. It adds to facts
// what it learns of the chain.
func (s *verifier) verify(state tls.ConnectionState, name string, facts *probe.TLS) error {
	theirFacts := *facts
	err := s.verifyBy(s.roots, state, name, facts)
	if s.client == nil {
		return err
	}
	for _, r := range s.client.remarks() {
		s.remark(r.Name, r.Text)
	}
	issuer := redact.Quote(state.PeerCertificates[0].Issuer.String(), probe.WhyLimit)
	theirs := s.verifyBy(s.client.pool, state, name, &theirFacts)
	blocked := s.client.Blocked()
	switch {
	case s.client.Unverified != "" && isUnknownAuthority(err):
		return nil
	case err == nil && blocked != nil:
		return s.distrustedByClient(authorities.ErrNamedPipe, s.client.unusable(blocked))
	case theirs == nil && isUnknownAuthority(err):
		*facts = theirFacts
		s.remark(clientrules.TrustedByAgentOnly, fmt.Sprintf(
			"%s trusts the certificate's issuer %q by %s; it is not among the CA certificates of this host",
			s.client.name, issuer, s.decisive(state, name)))
		return nil
	case err == nil && s.client.Unverified == "" && isUnknownAuthority(theirs):
		return s.distrustedByClient(theirs, fmt.Sprintf(
			"%s trusts only the CA certificates of %s, and the certificate's issuer %q is not among them",
			s.client.name, s.client.sources(), issuer))
	}
	return err
}

// decisive names the variable by which the client trusts a certificate.
func (s *verifier) decisive(state tls.ConnectionState, name string) string {
	for _, b := range s.client.Sources() {
		pool, err := authorities.Set{Others: s.client.each[b]}.Pool()
		if err == nil && s.verifyBy(pool, state, name, new(probe.TLS)) == nil {
			return shownBundle(b)
		}
	}
	return s.client.sources()
}

func isUnknownAuthority(err error) bool {
	class := probe.Classify(probe.Handshake, err)
	return err != nil && (class == probe.TLSAuthorityInvalid || class == probe.TLSUnexpectedIssuer)
}

// distrustedByClient is the end of an attempt whose certificate this host trusts and the client does not.
func (s *verifier) distrustedByClient(err error, why string) error {
	s.remark(clientrules.TrustedByHostOnly, why)
	return probe.Fail(probe.TLSAuthorityInvalid, probe.Reword(why, err))
}

func (s *verifier) remark(name, text string) {
	if s.learn != nil {
		s.learn(clientrules.Remark{Name: name, Text: text})
	}
}

// unusable says what the client makes of a bundle that it cannot use.
func (c *clientRoots) unusable(u *clientrules.UnusableError) string {
	does := "so " + c.name + " ignores it"
	if u.Blocks {
		does = "and " + c.name + " waits for it for ever"
	}
	return fmt.Sprintf("%s names %s, which %s, %s", u.Variable, shownPath(u.Path), u.Why, does)
}

// remarks say what is odd about the variables that decide what the client trusts.
func (c *clientRoots) remarks() (all []clientrules.Remark) {
	unusable := func(text string) { all = append(all, clientrules.Remark{Name: clientrules.UnusableBundle, Text: text}) }
	for _, u := range c.Unusable {
		unusable(c.unusable(u))
	}
	for _, u := range c.Damaged {
		uses := "only those"
		if slices.Contains(c.Leading, u.Bundle) {
			uses = "only those before the damage"
		}
		unusable(fmt.Sprintf("%s names %s, which %s, and %s uses %s", u.Variable, shownPath(u.Path), u.Why, c.name, uses))
	}
	if c.Unverified != "" {
		all = append(all, clientrules.Remark{Name: clientrules.NotVerified, Text: fmt.Sprintf(
			"%s is 0, so %s accepts every certificate: whoever intercepts its traffic can read it", c.Unverified, c.name)})
	}
	return all
}

// sources names what the client trusts instead of, or beside, this host's authorities.
func (c *clientRoots) sources() string {
	var all []string
	for _, b := range c.Sources() {
		all = append(all, shownBundle(b))
	}
	if c.SystemDir && !c.System {
		all = append(all, authorities.SystemDirectory)
	}
	if c.BuiltIn {
		all = append(all, "its own built-in list")
	}
	return strings.Join(all, " and ")
}

func shownBundle(b clientrules.Bundle) string { return b.Variable + " (" + shownPath(b.Path) + ")" }

// pathLimit is enough for every path that a person wrote: a variable may hold 64 KB.
const pathLimit = 200

func shownPath(path string) string { return redact.Quote(path, pathLimit) }

// verifyBy judges a certificate by these authorities; nil: the system's.
func (s *verifier) verifyBy(roots authorities.Pool, state tls.ConnectionState, name string, facts *probe.TLS) error {
	leaf := state.PeerCertificates[0]
	chains, err := roots.Chains(state.PeerCertificates, name, s.now())
	if err != nil {
		facts.ExpiredLink = s.expiredLink(state.PeerCertificates)
		return s.certificateError(state.PeerCertificates, name, err)
	}
	if end := endOf(chains); end.Before(leaf.NotAfter) {
		facts.ValidUntil = end
	}
	if slices.ContainsFunc(chains, s.hasIssuer) {
		return nil
	}
	return s.unexpectedIssuer(leaf)
}
