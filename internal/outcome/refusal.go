package outcome

import (
	"fmt"
	"strings"

	"netwatchd/internal/probe"
)

// OfRefusal returns how the service refused r, to be read after "the service", or "" if it did not name itself as the
// one that refuses.
func OfRefusal(r *probe.Result) string {
	refusal, requests := r.Refusal, "requests"
	if r.Kind == probe.KindExec {
		requests = "the agent's requests"
	}
	switch {
	case refusal == nil:
	case refusal.Location && refusal.Country != "":
		return fmt.Sprintf("refuses %s from this country, %s%s", requests, refusal.Country, reasonOf(r))
	case refusal.Location:
		return "refuses " + requests + " from this country or region" + reasonOf(r)
	case refusal.Code != "":
		return "blocks this IP address" + reasonOf(r)
	}
	return ""
}

// reasonOf returns the status and the code of a refusal: " (403, unsupported_country_region_territory)".
func reasonOf(r *probe.Result) string {
	reason := strings.TrimSpace(WithStatus("", "", r.Status))
	if code := r.Refusal.Code; code != "" {
		reason = strings.TrimPrefix(reason+", "+code, ", ")
	}
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
