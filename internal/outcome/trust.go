package outcome

import (
	"fmt"
	"slices"
	"strings"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
)

// IsForeignCertificate reports whether r got a certificate that someone else issued for the service's name. TLS
// inspection always signs with its own CA; a self-signed certificate is what a server presents if its owner forgot to
// install one. If neither issuer nor subject is known, the certificate counts as foreign, because that pages nobody.
func IsForeignCertificate(r *probe.Result) bool {
	return r.Class == probe.TLSUnexpectedIssuer || r.Class == probe.TLSAuthorityInvalid && !IsSelfSigned(r)
}

// Issuer says that the issuer of r's certificate is not trusted or not expected. The service was reached without r's
// proxy if direct.
func Issuer(r *probe.Result, direct bool) string {
	certificate, trusted := "the service's certificate", "not trusted here"
	if r.Proxy != "" && direct {
		certificate = "the proxy " + r.Proxy + " inspects TLS: " + certificate
	} else if r.Proxy != "" {
		certificate += ", through the proxy " + r.Proxy + ","
	}
	if r.TLS == nil || r.TLS.Issuer == "" {
		return certificate + " has an issuer that is " + trusted
	}
	if r.Class == probe.TLSUnexpectedIssuer {
		trusted = "not the expected issuer"
	}
	title := fmt.Sprintf("%s is issued by %q, which is %s", certificate, r.TLS.Issuer, trusted)
	if r.TLS.ExpiredLink != "" && r.Class == probe.TLSAuthorityInvalid {
		title += ": its link to a trusted root is " + r.TLS.ExpiredLink
	}
	return title
}

// Distrust says that the agent alone rejects the service's certificate.
func Distrust(r *probe.Result) string {
	return "the agent rejects the service's certificate, which this host trusts: " + Notes(r)
}

// DistrustAdvice is what to do then.
func DistrustAdvice(client clientrules.Client) string {
	if client.Trusting == clientrules.NodeTrusting {
		return "Save the issuer's certificate in PEM format and set NODE_EXTRA_CA_CERTS to that file, or add it to the file " +
			"that the variable names: " + client.Name + " runs on node, which does not read the CA certificates of this host."
	}
	return "Add the issuer's certificate to that file in PEM format, or remove the variable, so that the " +
		"agent trusts the CA certificates of this host."
}

// IssuerAdvice names the variable by which a client is told of one more authority. It is empty if none is known.
func IssuerAdvice(r *probe.Result, client clientrules.Client) string {
	variable := client.Trusting.CAVariable()
	if variable == "" || r.TLS != nil && r.TLS.ExpiredLink != "" { // it is not about the client
		return ""
	}
	advice := "If your company or the proxy inspects TLS, save its CA certificate in PEM format and set " + variable +
		" to that file, so that " + client.Name + " trusts it"
	if client.Trusting == clientrules.NodeTrusting {
		return advice + ". Installing the CA on this host is not enough: node does not read it there."
	}
	return advice + ", or install the CA on this host (update-ca-certificates). If the issuer is a well-known one, update " +
		"ca-certificates."
}

// Notes says what is odd about the settings that led to r, in one sentence; it is empty if nothing is.
func Notes(r *probe.Result) string { return strings.Join(r.Notes, "; ") }

// Remarks says the same of all that succeeded, each once, and returns the results that show it.
func Remarks(all []*probe.Result) (said string, from []*probe.Result) {
	var notes []string
	for _, r := range all {
		for _, note := range r.Notes {
			if r.OK() && !slices.Contains(notes, note) {
				notes, from = append(notes, note), append(from, r)
			}
		}
	}
	return strings.Join(notes, "; "), from
}
