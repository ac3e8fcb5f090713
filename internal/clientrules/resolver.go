package clientrules

// An Answer is what a resolver has for one of the two questions of a lookup, A and AAAA, when it stops waiting.
type Answer struct {
	Answered  bool // by a response that the resolver accepts
	RCode     int  // of that response
	Addresses int
}

const (
	noError  = 0
	nxDomain = 3
)

// AcceptsCode reports whether a response with that code ends a question. Otherwise the resolver waits for another
// nameserver (musl 1.2.5, res_msend.c; glibc 2.36, res_send.c; Go 1.26, net/dnsclient_unix.go).
func AcceptsCode(rcode int) bool { return rcode == noError || rcode == nxDomain }

// Decides returns the index of the question, 0 for A and 1 for AAAA, that decides a lookup, and whether the lookup
// finds addresses.
//
// With musl, one question without an answer, or with NXDOMAIN, ends the whole lookup without addresses
// (name_from_dns in lookup_name.c). With glibc and Go, the addresses of either question are enough.
func (r Resolver) Decides(answers [2]Answer) (question int, found bool) {
	if r == Musl {
		for i, a := range answers {
			if !a.Answered || a.RCode != noError {
				return i, false
			}
		}
	}
	for i, a := range answers {
		if a.Addresses > 0 {
			return i, true
		}
	}
	for i, a := range answers {
		if !a.Answered {
			return i, false
		}
	}
	return 0, false
}
