package outcome

import (
	"strings"

	"netwatchd/internal/probe"
)

// OfQuestion returns how a nameserver, or several, handled the question that decides a lookup, to be read after the
// nameserver: "answers REFUSED for AAAA".
func OfQuestion(r *probe.Result) string {
	_, qtype, _ := strings.Cut(r.Question, " ")
	switch {
	case r.AnswersTo != "":
		about, _, _ := strings.Cut(r.AnswersTo, " ")
		return "answers the " + qtype + " query with an answer about another name, " + about
	case r.Class == probe.DNSNoData:
		return "returns no address"
	case r.Class == probe.DNSWrongAnswer && len(r.Answers) > 0:
		return "returns " + r.Answers[0]
	case r.RCode == "NOERROR": // over UDP
		return "truncates its answer for " + qtype + " and does not answer over TCP"
	case r.Class == probe.DNSTimeout:
		return "does not answer " + qtype + " queries"
	case r.RCode == "":
		return "fails for " + qtype + " (" + r.Class.String() + ")"
	}
	return "answers " + r.RCode + " for " + qtype
}
