package diagnose_test

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/diagnose/diagnosetest"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// The world is every combination of the states of each part that the rules use. The tests walk all of it and check in
// every round what must always hold.

// An aspect is one part of the world, in each of its states.
type aspect [][]probe.Result

func states(t testing.TB, worlds ...string) aspect {
	var a aspect
	for _, words := range worlds {
		a = append(a, diagnosetest.Results(words))
	}
	return a
}

// everyClass is the attempt who in every class, in the usual phase of the class, and also in the phase that resolves
// the name if the class can end there; and once not made at all.
func everyClass(t testing.TB, who string) aspect {
	a := aspect{nil}
	for class := range probe.Classes() {
		a = append(a, diagnosetest.Results(who+":"+class.String()))
	}
	for _, class := range []string{"unknown", "local.denied", "local.no_route", "tcp.reset", "tcp.timed_out", "tcp.closed", "internal"} {
		a = append(a, diagnosetest.Results(who+":"+class+"@resolve"))
	}
	return a
}

// rounds yields every combination of the aspects, with every wanted state of the sandbox. The round is reused.
func rounds(wants []diagnose.Want, aspects ...aspect) iter.Seq[diagnose.Round] {
	return func(yield func(diagnose.Round) bool) {
		round := diagnose.Round{Service: "codex", Results: make([]probe.Result, 0, 32)}
		var walk func(rest []aspect) bool
		walk = func(rest []aspect) bool {
			if len(rest) == 0 {
				for _, want := range wants {
					round.Expect.Sandbox = want
					if !yield(round) {
						return false
					}
				}
				return true
			}
			before := len(round.Results)
			for _, state := range rest[0] {
				round.Results = append(round.Results[:before], state...)
				if !walk(rest[1:]) {
					return false
				}
			}
			round.Results = round.Results[:before]
			return true
		}
		walk(aspects)
	}
}

func hostWorld(t testing.TB) iter.Seq[diagnose.Round] {
	return rounds([]diagnose.Want{diagnose.WantAny},
		states(t, ``, `link:local.no_interface`),
		everyClass(t, "head"),
		states(t, // the service's name
			``,
			`dns:ok ns1.ctl:ok ns1.svc:ok`,
			`dns:ok ns1.ctl:ok ns1.svc:ok musl:dns.refused(server=192.168.1.1:53,rcode=REFUSED,question=chatgpt.com/AAAA)`,
			`dns:dns.name_not_resolved ns1.svc:dns.name_not_resolved ns2.ctl:ok ns2.svc:ok musl:ok`,
			`dns:dns.name_not_resolved ns1.ctl:ok ns1.svc:dns.name_not_resolved`,
			`dns:dns.timeout ns1.ctl:dns.timeout ns1.svc:dns.timeout`,
			`dns:dns.wrong_answer(answers=0.0.0.0) ns1.ctl:ok ns1.svc:dns.wrong_answer(answers=0.0.0.0)`,
			`dns:unknown`),
		states(t, // controls
			``,
			`c1:ok(date=0s) c2:ok a1:ok`,
			`c1:ok(date=-8760h) c2:tcp.timed_out`,
			`c1:tcp.timed_out a1:tcp.timed_out`,
			`c1:http.redirected c2:http.redirected`,
			`c1:dns.timeout a1:ok`,
			`c1:local.denied a1:local.denied`),
		states(t, // public resolvers
			``,
			`pub.ctl:ok pub.svc:ok(answers=104.18.32.47)`,
			`pub.ctl:ok pub.svc:dns.name_not_resolved`,
			`pub.ctl:dns.timeout pub.svc:dns.timeout`),
		states(t, // what builds on it
			``, `stream:ok`, `stream:stream.cut`, `stream:tcp.timed_out`, `exec:exec.network`, `exec:exec.not_found`,
			`exec:exec.overloaded`, `exec:unknown`))
}

func sandboxWorld(t testing.TB) iter.Seq[diagnose.Round] {
	return rounds([]diagnose.Want{diagnose.WantAny, diagnose.WantClosed, diagnose.WantOpen},
		everyClass(t, "head"),
		states(t, ``, `c1:ok(date=0s) a1:ok`, `sandbox:local.denied c1:ok a1:ok`),
		states(t, ``, `exec:ok`, `exec:exec.network`, `exec:exec.not_found`),
		states(t, ``, `s.head:ok`, `s.head:local.denied`, `s.head:local.no_route`, `s.head:tcp.timed_out`,
			`s.head:http.server_error`,
			`s.head:exec.start_failed`, `s.head:unknown`, `s.head:proxy.failed(proxy=127.0.0.1:3128)`),
		states(t, ``, `s.exec:ok`, `s.exec:exec.network`, `s.exec:local.denied`, `s.exec:exec.usage_limit`,
			`s.exec:exec.not_found`))
}

// statusWorld is about what the agent reports about itself.
func statusWorld(t testing.TB) iter.Seq[diagnose.Round] {
	return rounds([]diagnose.Want{diagnose.WantAny},
		everyClass(t, "status"),
		states(t, ``, `head:ok`, `head:tcp.refused`, `head:http.server_error`, `head:unknown`, `head:dns.timeout`),
		states(t, ``, `dns:ok`, `dns:dns.timeout`),
		states(t, ``, `c1:ok(date=0s) a1:ok`, `c1:tcp.timed_out a1:tcp.timed_out`),
		states(t, ``, `stream:ok`, `stream:stream.cut`),
		states(t, ``, `exec:ok`, `exec:exec.network`, `exec:exec.overloaded`))
}

func withoutStatus(round diagnose.Round) diagnose.Round {
	round.Results = slices.DeleteFunc(slices.Clone(round.Results),
		func(r probe.Result) bool { return r.Kind == probe.KindStatus })
	return round
}

// pathWorld is about the network path: which address the name resolves to, the proxy, the latency, and what a direct
// probe gets.
func pathWorld(t testing.TB) iter.Seq[diagnose.Round] {
	const there, elsewhere = "104.18.32.47", "198.51.100.9"
	return rounds([]diagnose.Want{diagnose.WantAny},
		everyClass(t, "head"),
		states(t, ``, `route:ok dns:ok ns1.ctl:ok ns1.svc:ok(answers=`+there+`) pub.ctl:ok pub.svc:ok(answers=`+there+`)`,
			`dns:ok ns1.ctl:ok ns1.svc:ok(answers=`+elsewhere+`) pub.ctl:ok pub.svc:ok(answers=`+there+`)`,
			`dns:ok ns1.ctl:ok ns1.svc:ok(answers=10.1.2.3) pub.ctl:ok pub.svc:ok(answers=`+there+`)`,
			`dns:dns.name_not_resolved(warn=dns_not_asked) ns1.ctl:ok ns1.svc:ok(answers=`+there+`)`),
		states(t, ``, `d.head:ok(answers=`+there+`)`, `d.head:tcp.timed_out(answers=`+there+`)`),
		states(t, // controls
			``,
			`c1:ok(date=0s,connect=20ms,target=http://alpha.example/) a1:ok c3:ok(target=https://gamma.example/)`,
			`c1:ok(date=0s,connect=1200ms,target=http://alpha.example/) a1:ok(connect=1200ms)`,
			`c1:tcp.refused(target=http://alpha.example/) c2:tcp.refused(target=http://beta.example/) a1:local.no_route`,
			`c1:ok(target=http://alpha.example/) c3:tls.cert.name_invalid(target=https://gamma.example/)`,
			`c1:ok(target=http://alpha.example/) c3:tls.closed(target=https://gamma.example/,proxy=http://10.0.0.1:3128) a3:ok(target=https://gamma.example/)`,
			`c1:local.no_route@resolve a1:ok(target=http://alpha.example/)`))
}

// shortageWorld is a host on which some attempts could not be made: in every part of the round all, some or none.
func shortageWorld(t testing.TB) iter.Seq[diagnose.Round] {
	return rounds([]diagnose.Want{diagnose.WantClosed},
		states(t, ``, `link:local.no_interface`, `link:local.resources route:local.resources`),
		states(t, ``, `head:ok`, `head:local.resources`, `head:internal`, `head:local.resources@resolve`, `head:unknown`,
			`head:tcp.timed_out`, `head:dns.timeout`, `head:http.server_error`, `head:local.no_route`,
			`head:tls.cert.authority_invalid`, `head:local.denied`),
		states(t, // the service's name
			``,
			`dns:ok ns1.ctl:ok ns1.svc:ok`,
			`dns:local.resources ns1.ctl:local.resources ns1.svc:local.resources`,
			`dns:dns.timeout ns1.ctl:local.resources ns1.svc:local.resources`,
			`dns:dns.name_not_resolved ns1.ctl:ok ns1.svc:dns.name_not_resolved`),
		states(t, // controls
			``,
			`c1:ok(date=0s) c2:ok a1:ok`,
			`c1:local.resources c2:local.resources a1:local.resources a2:internal`,
			`c1:unknown a1:unknown`,
			`c1:tcp.timed_out a1:local.resources`,
			`c1:ok a1:local.resources`,
			`c1:http.redirected c2:local.resources`,
			`c1:local.denied a1:local.resources`),
		states(t, // public resolvers
			``,
			`pub.ctl:ok pub.svc:ok(answers=104.18.32.47)`,
			`pub.ctl:local.resources pub.svc:local.resources`,
			`pub.ctl:ok pub.svc:dns.name_not_resolved`,
			`pub.ctl:local.resources pub.svc:dns.name_not_resolved`),
		states(t, // what builds on it
			``, `stream:local.resources`, `stream:stream.cut`, `exec:exec.network`, `exec:local.resources`),
		states(t, ``, `s.head:ok`, `s.head:local.denied`, `s.head:local.resources`, `d.head:local.resources`))
}

// addressWorld is about the single addresses of the service's name.
func addressWorld(t testing.TB) iter.Seq[diagnose.Round] {
	const one, two, six = "203.0.113.1", "203.0.113.2", "2001:db8::1"
	const names = `answers=` + one + `|` + two + `|` + six + `,peer=` + one + `:443`
	heads := aspect{}
	for class := range probe.Classes() {
		heads = append(heads, diagnosetest.Results("head:"+class.String()+"("+names+")"))
	}
	ends := []string{`ok`, `tcp.timed_out`, `http.server_error`, `local.no_route`, `unknown`}
	at := func(who, peer string) aspect {
		states := aspect{nil}
		for _, end := range ends {
			states = append(states, diagnosetest.Results("at."+who+":"+end+"(peer="+peer+":443)"))
		}
		return states
	}
	return rounds([]diagnose.Want{diagnose.WantAny}, heads, at("head#1", one), at("head#2", two), at("head#3", "["+six+"]"),
		states(t, ``, `c1:ok(date=0s) a1:ok`, `c1:tcp.timed_out`),
		states(t, ``, `dns:ok stream:ok`, `stream:stream.cut(peer=`+one+`:443)`,
			`stream:tcp.timed_out(peer=`+one+`:443) at.stream#1:tcp.timed_out(peer=`+one+`:443)`))
}

// stubWorld is about a run of the agent that is made again against a stub of its service.
func stubWorld(t testing.TB) iter.Seq[diagnose.Round] {
	return rounds([]diagnose.Want{diagnose.WantAny},
		everyClass(t, "exec"),
		states(t, ``, `stub:ok`, `stub:unknown`, `stub:internal`, `stub:exec.timed_out`, `stub:exec.unexpected_exit`,
			`stub:exec.config_invalid`, `stub:exec.network`, `stub:exec.stream_cut`, `stub:http.unexpected_status`),
		states(t, ``, `dns:ok head:ok`, `dns:ok head:tcp.timed_out`, `dns:ok head:http.server_error`, `dns:dns.timeout head:dns.timeout`,
			`dns:ok head:ok stream:stream.cut`),
		states(t, ``, `c1:ok(date=0s) a1:ok`, `c1:tcp.timed_out a1:tcp.timed_out`),
		states(t, ``, `s.exec:exec.network`))
}

// builtinWorld is about a run of the agent with its own provider, beside a usual one.
func builtinWorld(t testing.TB) iter.Seq[diagnose.Round] {
	return rounds([]diagnose.Want{diagnose.WantAny},
		everyClass(t, "builtin"),
		states(t, ``, `exec:ok`, `exec:exec.network`, `exec:exec.timed_out stub:ok`, `exec:exec.timed_out stub:exec.timed_out`, `exec:exec.usage_limit`),
		states(t, ``, `dns:ok head:ok`, `dns:ok head:tcp.timed_out`, `dns:ok head:ok stream:stream.cut`),
		states(t, ``, `c1:ok(date=0s) a1:ok`, `c1:tcp.timed_out a1:tcp.timed_out`))
}

// ways changes how the request itself is made, in every round of the part.
func ways(part iter.Seq[diagnose.Round]) iter.Seq[diagnose.Round] {
	changes := []func(*probe.Result){
		func(*probe.Result) {},
		func(r *probe.Result) { r.Answers = []string{"104.18.32.47"} },
		func(r *probe.Result) { r.Answers = []string{"198.51.100.9"} },
		func(r *probe.Result) { r.Answers, r.Warnings = []string{"198.51.100.9"}, []string{"dns_hosts_file"} },
		func(r *probe.Result) { r.Answers = []string{"10.1.2.3"} },
		func(r *probe.Result) { r.Proxy = "http://10.0.0.1:3128" },
		func(r *probe.Result) { r.Status = 511 },
		func(r *probe.Result) { r.Phases[probe.Connect], r.Phases[probe.Response] = 1.2, 1.4 },
	}
	return func(yield func(diagnose.Round) bool) {
		for round := range part {
			head := slices.IndexFunc(round.Results, func(r probe.Result) bool { return r.Kind == probe.KindHTTP && ofHost(&r) })
			if head < 0 {
				continue
			}
			for _, change := range changes {
				changed := round
				changed.Results = slices.Clone(round.Results)
				change(&changed.Results[head])
				if !yield(changed) {
					return
				}
			}
		}
	}
}

func onNetworkPath(t testing.TB) iter.Seq[diagnose.Round] { return ways(pathWorld(t)) }

func world(t testing.TB) iter.Seq[diagnose.Round] {
	return func(yield func(diagnose.Round) bool) {
		for _, part := range []iter.Seq[diagnose.Round]{hostWorld(t), sandboxWorld(t), statusWorld(t), onNetworkPath(t),
			shortageWorld(t), addressWorld(t), stubWorld(t), builtinWorld(t)} {
			for round := range part {
				if !yield(round) {
					return
				}
			}
		}
	}
}

// The helpers below do not use those of the package: a mistake there must not hide here.

func has(round diagnose.Round, match func(*probe.Result) bool) bool {
	for i := range round.Results { // by pointer: a result is large, and the world is walked in seconds
		if match(&round.Results[i]) {
			return true
		}
	}
	return false
}

func ofHost(r *probe.Result) bool { return r.Role == probe.OfService && r.Vantage == probe.FromHost }

func hasReachedControl(round diagnose.Round) bool {
	return has(round, func(r *probe.Result) bool {
		return (r.Role == probe.ControlByName || r.Role == probe.ControlByAddress) && r.OK()
	})
}

func resolved(round diagnose.Round) bool {
	return has(round, func(r *probe.Result) bool {
		return ofHost(r) && (r.Kind == probe.KindDNS && r.OK() || (r.Kind == probe.KindHTTP || r.Kind == probe.KindStream) && r.Phase > probe.Resolve)
	})
}

func everyResolverReportsGone(round diagnose.Round) bool {
	answered := func(from probe.Vantage, role probe.Role, class probe.Class) bool {
		return has(round, func(r *probe.Result) bool { return r.Vantage == from && r.Role == role && r.Class == class })
	}
	return answered(probe.Direct, probe.ResolverAsksService, probe.DNSNameNotResolved) &&
		answered(probe.Direct, probe.ResolverAsksControl, probe.OK) &&
		!answered(probe.FromHost, probe.ResolverAsksService, probe.OK) &&
		(answered(probe.FromHost, probe.ResolverAsksControl, probe.OK) || has(round, func(r *probe.Result) bool {
			return r.Role == probe.ControlByName && (r.OK() || r.Phase > probe.Resolve)
		}))
}

// hasFailedRequest reports whether a request from the host fails (a run of the agent does not count) and no direct one
// succeeded at the same addresses.
func hasFailedRequest(round diagnose.Round) bool {
	return has(round, func(r *probe.Result) bool {
		again := has(round, func(other *probe.Result) bool {
			return isDirect(other) && other.OK() && len(r.Answers) > 0 && slices.Equal(r.Answers, other.Answers)
		})
		return ofHost(r) && r.Kind == probe.KindHTTP && !r.OK() && !again && !worksElsewhere(round, r)
	})
}

// worksElsewhere reports whether r's probe succeeded at another of the addresses that r had.
func worksElsewhere(round diagnose.Round, r *probe.Result) bool {
	return has(round, func(other *probe.Result) bool {
		host, _, _ := strings.Cut(other.Peer, ":443")
		return other.Role == probe.ServiceAddress && other.OK() && other.Name == r.Name && r.Phase > probe.Resolve &&
			slices.Contains(r.Answers, strings.Trim(host, "[]"))
	})
}

func isDirect(r *probe.Result) bool {
	return r.Role == probe.OfService && r.Vantage == probe.Direct
}

func hasServiceAnswer(round diagnose.Round) bool {
	return has(round, func(r *probe.Result) bool {
		return ofHost(r) && r.Kind == probe.KindHTTP && r.Phase == probe.Response && r.OK()
	})
}

func withoutSandbox(round diagnose.Round) diagnose.Round {
	round.Results = slices.DeleteFunc(slices.Clone(round.Results),
		func(r probe.Result) bool { return r.Vantage == probe.FromSandbox })
	return round
}

// wasTried reports whether r was tried at all.
func wasTried(r *probe.Result) bool {
	return r.Class != probe.LocalResources && r.Class != probe.Internal
}

func withoutUntried(round diagnose.Round) diagnose.Round {
	round.Results = slices.DeleteFunc(slices.Clone(round.Results),
		func(r probe.Result) bool { return !wasTried(&r) })
	return round
}

func inSandbox(round diagnose.Round, match func(*probe.Result) bool) bool {
	return has(round, func(r *probe.Result) bool { return r.Vantage == probe.FromSandbox && match(r) })
}

func ofHostOrService(c causes.Cause) bool { return c.Fault() && c.Owner() != causes.OwnerAgent }

func ofStub(r *probe.Result) bool { return r.Role == probe.AgentStub }

func withoutStub(round diagnose.Round) diagnose.Round {
	round.Results = slices.DeleteFunc(slices.Clone(round.Results), func(r probe.Result) bool { return ofStub(&r) })
	return round
}

func shown(round diagnose.Round) string {
	var b strings.Builder
	for _, r := range round.Results {
		fmt.Fprintf(&b, "  %s %s %s %s: %s@%s\n", r.Role, r.Vantage, r.Kind, r.Name, r.Class, r.Phase)
	}
	return b.String()
}

// A law holds in every round. broken is a judge that makes the mistake that the law is for: the walk must catch it.
type law struct {
	name   string
	holds  func(diagnose.Round, diagnose.Verdict) bool
	broken func(diagnose.Round) diagnose.Verdict
	shows  func(testing.TB) iter.Seq[diagnose.Round] // where that mistake shows
}

// tampered is a judge that misreads results before it judges.
func tampered(misread func(r *probe.Result)) func(diagnose.Round) diagnose.Verdict {
	return func(round diagnose.Round) diagnose.Verdict {
		round.Results = slices.Clone(round.Results)
		for i := range round.Results {
			misread(&round.Results[i])
		}
		return diagnose.Of(round)
	}
}

// misstated is a judge that misstates its verdict.
func misstated(misstate func(*diagnose.Verdict)) func(diagnose.Round) diagnose.Verdict {
	return func(round diagnose.Round) diagnose.Verdict {
		v := diagnose.Of(round)
		misstate(&v)
		return v
	}
}

var laws = []law{
	{
		"nothing pages unless a control was reached",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return v.Severity != causes.Page || hasReachedControl(round)
		},
		func(round diagnose.Round) diagnose.Verdict {
			round.Results = append(slices.Clone(round.Results), probe.Result{
				Spec: probe.Spec{Role: probe.ControlByAddress, Kind: probe.KindHTTP}, Class: probe.OK})
			return diagnose.Of(round)
		},
		hostWorld,
	},
	{
		"nothing pages unless the name was resolved, or every resolver reports that it does not exist",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return v.Severity != causes.Page || resolved(round) || everyResolverReportsGone(round)
		},
		tampered(func(r *probe.Result) { // goes by the class and forgets the phase
			if r.Kind == probe.KindHTTP && r.Phase == probe.Resolve {
				r.Phase = probe.Connect
			}
		}),
		hostWorld,
	},
	{
		"nothing pages that was reached without this host's resolver and proxy in the same round",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			direct := has(round, func(r *probe.Result) bool {
				return isDirect(r) && r.OK() && len(r.Answers) > 0
			})
			pinned := has(round, func(r *probe.Result) bool {
				return ofHost(r) && r.Kind == probe.KindHTTP && r.Phase > probe.Resolve && len(r.Answers) > 0
			})
			return v.Severity != causes.Page || !direct || !pinned
		},
		func(round diagnose.Round) diagnose.Verdict {
			round.Results = slices.DeleteFunc(slices.Clone(round.Results),
				func(r probe.Result) bool { return isDirect(&r) })
			return diagnose.Of(round)
		},
		onNetworkPath,
	},
	{
		"nothing that a request at one address shows is told of the service while it works at another address",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			if len(v.Evidence) == 0 || v.Cause.Owner() != causes.OwnerService && v.Cause != causes.Path {
				return true
			}
			decisive := &v.Evidence[0]
			return decisive.Kind != probe.KindHTTP || decisive.Role != probe.OfService || !worksElsewhere(round, decisive)
		},
		tampered(func(r *probe.Result) {
			if r.Role == probe.ServiceAddress {
				r.Class = probe.TCPTimedOut
			}
		}),
		addressWorld,
	},
	{
		"a healthy service works at every address that was tried",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return v.Cause != causes.Healthy || !has(round, func(r *probe.Result) bool {
				return r.Role == probe.ServiceAddress && r.Class.Layer() != "local" && r.Class != probe.Unknown && !r.OK() &&
					has(round, func(other *probe.Result) bool {
						return other.Role == probe.ServiceAddress && other.OK() && other.Name == r.Name
					})
			})
		},
		tampered(func(r *probe.Result) {
			if r.Role == probe.ServiceAddress {
				r.Class = probe.OK
			}
		}),
		addressWorld,
	},
	{
		"nothing pages through a proxy that forwarded no control, unless a certificate proves who answered",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			unproven := has(round, func(r *probe.Result) bool {
				return ofHost(r) && r.Kind == probe.KindHTTP && r.Proxy != "" && !r.OK() && r.Phase <= probe.Handshake &&
					r.Phase > probe.Resolve
			})
			proven := has(round, func(r *probe.Result) bool { return r.Role == probe.ControlByName && r.Proxy != "" && r.OK() })
			return v.Severity != causes.Page || !unproven || proven
		},
		tampered(func(r *probe.Result) { r.Proxy = "" }),
		onNetworkPath,
	},
	{
		"nothing pages that was given up before an answer could arrive",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return v.Severity != causes.Page || !has(round, func(r *probe.Result) bool {
				return ofHost(r) && r.Class == probe.HTTPTimedOut && r.Phases[probe.Connect] > 0 &&
					r.Phases[r.Phase] < 2*r.Phases[probe.Connect]
			})
		},
		tampered(func(r *probe.Result) { r.Phases[probe.Connect] = 0 }),
		onNetworkPath,
	},
	{
		"what the agent reports about itself never pages",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return v.Severity != causes.Page || diagnose.Of(withoutStatus(round)).Severity == causes.Page
		},
		tampered(func(r *probe.Result) {
			if r.Kind == probe.KindStatus {
				r.Kind = probe.KindExec
			}
		}),
		statusWorld,
	},
	{
		"what the agent reports about itself never makes a service healthy",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return v.Cause != causes.Healthy || diagnose.Of(withoutStatus(round)).Cause == causes.Healthy
		},
		tampered(func(r *probe.Result) {
			if r.Kind == probe.KindStatus {
				r.Kind = probe.KindExec
			}
		}),
		statusWorld,
	},
	{
		"what was seen in the sandbox is never blamed on the host or the service",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return !inSandbox(round, func(*probe.Result) bool { return true }) || !ofHostOrService(v.Cause) ||
				diagnose.Of(withoutSandbox(round)).Cause == v.Cause
		},
		tampered(func(r *probe.Result) {
			if r.Vantage == probe.FromSandbox {
				r.Vantage, r.Name = probe.FromHost, "other"
			}
		}),
		sandboxWorld,
	},
	{
		"a failure of the host is never blamed on the sandbox",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return !hasFailedRequest(round) || v.Cause != causes.Sandbox && v.Cause != causes.SandboxOpen
		},
		func(round diagnose.Round) diagnose.Verdict {
			round.Results = slices.Clone(round.Results)
			for i := range round.Results {
				if ofHost(&round.Results[i]) {
					round.Results[i].Class = probe.OK
				}
			}
			return diagnose.Of(round)
		},
		sandboxWorld,
	},
	{
		"a failure of the host is never blamed on the agent",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return !hasFailedRequest(round) || v.Cause != causes.Agent && v.Cause != causes.Account
		},
		tampered(func(r *probe.Result) {
			if r.Kind == probe.KindHTTP && ofHost(r) {
				r.Class = probe.OK
			}
		}),
		hostWorld,
	},
	{
		"what only degrades hides nothing that pages",
		func(_ diagnose.Round, v diagnose.Verdict) bool {
			return !v.Cause.Usable() ||
				!slices.ContainsFunc(v.Also, func(f diagnose.Finding) bool { return f.Cause.About().Severity == causes.Page })
		},
		misstated(func(v *diagnose.Verdict) {
			if v.Cause == causes.Upstream {
				v.Cause, v.Also = causes.Degraded, []diagnose.Finding{{Cause: causes.Upstream}}
			}
		}),
		sandboxWorld,
	},
	{
		"what only degrades is never named while a request fails",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return !v.Cause.Usable() || !hasFailedRequest(round)
		},
		tampered(func(r *probe.Result) {
			if r.Class == probe.HTTPServerError {
				r.Class = probe.OK
			}
		}),
		sandboxWorld,
	},
	{
		"the unknown is never healthy",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return v.Cause != causes.Healthy || !has(round, func(r *probe.Result) bool {
				return r.Role == probe.OfService && (r.Class == probe.Unknown || r.Class == probe.Internal)
			})
		},
		tampered(func(r *probe.Result) {
			if r.Class == probe.Unknown {
				r.Class = probe.OK
			}
		}),
		hostWorld,
	},
	{
		"what could not be tried is no evidence: without it, the same fault is found",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			if !v.Cause.Fault() || !has(round, func(r *probe.Result) bool { return !wasTried(r) }) {
				return true
			}
			return diagnose.Of(withoutUntried(round)).Cause == v.Cause &&
				!slices.ContainsFunc(v.Evidence, func(r probe.Result) bool { return r.Role != probe.OfHost && !wasTried(&r) })
		},
		tampered(func(r *probe.Result) { // takes it for an attempt that nobody answered
			if !wasTried(r) {
				r.Class = probe.TCPTimedOut
			}
		}),
		shortageWorld,
	},
	{
		"what could not be tried never makes a fault of the controls or the resolvers visible or invisible",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			compared := func(r *probe.Result) bool { return r.Role != probe.OfService && r.Role != probe.OfHost }
			if !has(round, func(r *probe.Result) bool { return compared(r) && !wasTried(r) }) {
				return true
			}
			tried := round
			tried.Results = slices.DeleteFunc(slices.Clone(round.Results),
				func(r probe.Result) bool { return compared(&r) && !wasTried(&r) })
			return diagnose.Of(tried).Cause == v.Cause
		},
		tampered(func(r *probe.Result) { // takes a control that could not be tried for a working one
			if r.Role == probe.ControlByAddress && !wasTried(r) {
				r.Class = probe.OK
			}
		}),
		shortageWorld,
	},
	{
		"nothing is healthy while a probe of the service could not be tried from the host",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return !v.Cause.Usable() || !has(round, func(r *probe.Result) bool { return ofHost(r) && !wasTried(r) })
		},
		tampered(func(r *probe.Result) {
			if !wasTried(r) {
				r.Class = probe.OK
			}
		}),
		shortageWorld,
	},
	{
		"an unknown error of all controls does not show that the host is offline",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			all := !has(round, func(r *probe.Result) bool {
				return (r.Role == probe.ControlByName || r.Role == probe.ControlByAddress) && r.Class != probe.Unknown
			})
			sign := has(round, func(r *probe.Result) bool {
				return r.Class == probe.LocalNoRoute || r.Class == probe.LocalNoInterface
			})
			return v.Cause != causes.HostOffline || !all || sign
		},
		tampered(func(r *probe.Result) {
			if r.Class == probe.Unknown {
				r.Class = probe.TCPTimedOut
			}
		}),
		shortageWorld,
	},
	{
		"nothing is healthy that was not tried from the host",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return !v.Cause.Usable() ||
				has(round, func(r *probe.Result) bool {
					return (ofHost(r) || isDirect(r) || r.Role == probe.ServiceAddress) && r.OK()
				})
		},
		misstated(func(v *diagnose.Verdict) {
			if len(v.Evidence) == 0 {
				v.Cause = causes.Healthy
			}
		}),
		hostWorld,
	},
	{
		"a closed sandbox that is wanted closed is healthy",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			closed := inSandbox(round, func(r *probe.Result) bool { return r.Kind == probe.KindHTTP && r.Class == probe.LocalDenied }) &&
				!inSandbox(round, func(r *probe.Result) bool { return r.Kind == probe.KindExec })
			well := !has(round, func(r *probe.Result) bool { return ofHost(r) && !r.OK() }) && hasServiceAnswer(round)
			return !closed || !well || round.Expect.Sandbox != diagnose.WantClosed || v.Cause == causes.Healthy ||
				v.Cause == causes.SelfSandboxed
		},
		func(round diagnose.Round) diagnose.Verdict {
			round.Expect.Sandbox = diagnose.WantOpen
			return diagnose.Of(round)
		},
		sandboxWorld,
	},
	{
		"an open sandbox that should be closed is always reported, unless netwatchd is in one itself",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return round.Expect.Sandbox != diagnose.WantClosed || v.Cause == causes.SandboxOpen ||
				v.Cause == causes.SelfSandboxed ||
				!inSandbox(round, func(r *probe.Result) bool { return r.OK() }) ||
				slices.ContainsFunc(v.Also, func(f diagnose.Finding) bool { return f.Cause == causes.SandboxOpen })
		},
		misstated(func(v *diagnose.Verdict) { v.Also = nil }),
		sandboxWorld,
	},
	{
		"a host is not offline while the service answers, nor while a control does, unless the kernel has no route",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			noRoute := has(round, func(r *probe.Result) bool {
				return ofHost(r) && (r.Class == probe.LocalNoRoute || r.Class == probe.LocalNoInterface)
			})
			return v.Cause != causes.HostOffline || noRoute || !hasServiceAnswer(round) && !hasReachedControl(round)
		},
		tampered(func(r *probe.Result) {
			if r.Role == probe.ControlByName || r.Role == probe.ControlByAddress {
				r.Class = probe.TCPTimedOut
			}
		}),
		hostWorld,
	},
	{
		"if netwatchd itself is sandboxed, that is the only finding; otherwise it is never a finding",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			self := has(round, func(r *probe.Result) bool {
				return r.Role == probe.OfHost && r.Name == "sandbox" && r.Class == probe.LocalDenied
			})
			return self == (v.Cause == causes.SelfSandboxed) && (!self || len(v.Also) == 0)
		},
		tampered(func(r *probe.Result) {
			if r.Role == probe.OfHost {
				r.Name = "link"
			}
		}),
		sandboxWorld,
	},
	{
		"a verdict shows at most six results of the round, the decisive one first",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			if len(v.Evidence) == 0 {
				return v.Cause == causes.Inconclusive && !has(withoutStatus(round), ofHost)
			}
			bad := v.Cause.Fault() && v.Cause != causes.SandboxOpen
			return len(v.Evidence) <= 6 && (!bad || !v.Evidence[0].OK()) &&
				!slices.ContainsFunc(v.Evidence, func(e probe.Result) bool {
					return !has(round, func(r *probe.Result) bool { return r.Spec == e.Spec && r.Class == e.Class })
				})
		},
		misstated(func(v *diagnose.Verdict) { slices.Reverse(v.Evidence) }),
		hostWorld,
	},
	{
		"blocked are only probes that failed from the host, and not the decisive one",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return !slices.ContainsFunc(v.Blocked, func(name string) bool {
				return !has(round, func(r *probe.Result) bool { return ofHost(r) && r.Name == name && !r.OK() }) ||
					v.Evidence[0].Role == probe.OfService && v.Evidence[0].Name == name
			})
		},
		misstated(func(v *diagnose.Verdict) { v.Blocked = []string{"head"} }),
		hostWorld,
	},
	{
		"an inconclusive verdict names what is missing, or shows an inexplicable failure",
		func(_ diagnose.Round, v diagnose.Verdict) bool {
			if v.Cause != causes.Inconclusive || len(v.Missing) > 0 {
				return true
			}
			if len(v.Evidence) == 0 {
				return false
			}
			switch v.Evidence[0].Class {
			case probe.Unknown, probe.Internal, probe.LocalResources:
				return true
			}
			layer := v.Evidence[0].Class.Layer() // no request ends in one of these: the prober is at fault
			return v.Evidence[0].Kind == probe.KindHTTP && (layer == "stream" || layer == "exec")
		},
		misstated(func(v *diagnose.Verdict) { v.Missing = nil }),
		hostWorld,
	},
	{
		"other causes are listed once each, and none that the main cause explains",
		func(_ diagnose.Round, v diagnose.Verdict) bool {
			for i, f := range v.Also {
				if f.Cause == v.Cause || f.Cause == causes.Healthy || f.Cause == causes.Inconclusive ||
					slices.Contains(v.Cause.About().Hides, f.Cause) ||
					slices.ContainsFunc(v.Also[:i], func(other diagnose.Finding) bool { return other.Cause == f.Cause }) {
					return false
				}
			}
			return true
		},
		misstated(func(v *diagnose.Verdict) { v.Also = append(v.Also, diagnose.Finding{Cause: v.Cause}) }),
		hostWorld,
	},
	{
		"an agent whose run succeeds against a stub is not sent to codex doctor",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return !strings.Contains(v.Advice, "codex doctor") || v.Evidence[0].Name != "exec" && v.Evidence[0].Role == probe.OfService ||
				!has(round, func(r *probe.Result) bool { return ofStub(r) && r.OK() }) ||
				!has(round, func(r *probe.Result) bool { return ofHost(r) && outcome.NeedsStub(*r) })
		},
		func(round diagnose.Round) diagnose.Verdict { return diagnose.Of(withoutStub(round)) },
		stubWorld,
	},
	{
		"a run that fails against a stub without any answer is not blamed on the service",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return !ofHostOrService(v.Cause) || v.Evidence[0].Kind != probe.KindExec || v.Evidence[0].Class != probe.ExecTimedOut ||
				v.Evidence[0].Name != "exec" || has(round, func(r *probe.Result) bool { return ofStub(r) && r.OK() })
		},
		tampered(func(r *probe.Result) {
			if ofStub(r) {
				r.Class = probe.OK
			}
		}),
		stubWorld,
	},
	{
		"a run with the agent's own provider pages only beside a usual one that succeeded",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			if v.Severity != causes.Page || v.Evidence[0].Name != "exec/builtin" || v.Evidence[0].Class == probe.ExecOverloaded ||
				v.Evidence[0].Class == probe.ExecStreamCut { // the service has said so itself
				return true
			}
			return has(round, func(r *probe.Result) bool { return ofHost(r) && r.Name == "exec" && r.OK() })
		},
		func(round diagnose.Round) diagnose.Verdict {
			usual := probe.Result{Spec: probe.Spec{Service: "codex", Name: "exec", Kind: probe.KindExec}, Class: probe.OK}
			round.Results = append(slices.Clone(round.Results), usual)
			return diagnose.Of(round)
		},
		builtinWorld,
	},
	{
		"a run against a stub matters only if the agent's run failed",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			ran := has(round, func(r *probe.Result) bool { return ofHost(r) && r.Kind == probe.KindExec && !r.OK() })
			return ran || diagnose.Of(withoutStub(round)).Cause == v.Cause
		},
		tampered(func(r *probe.Result) {
			if ofStub(r) {
				r.Role, r.Name = probe.OfService, "exec"
			}
		}),
		stubWorld,
	},
	{
		"a verdict names the service, what is wrong, and what to do",
		func(round diagnose.Round, v diagnose.Verdict) bool {
			return strings.HasPrefix(v.Title, round.Service+": ") && !strings.HasSuffix(v.Title, ".") &&
				strings.HasSuffix(v.Advice, ".")
		},
		misstated(func(v *diagnose.Verdict) { v.Advice = "" }),
		hostWorld,
	},
}

func TestWorld(t *testing.T) {
	walked, broken := 0, make(map[string]bool)
	named := make(map[causes.Cause]int)
	for round := range world(t) {
		v := diagnose.Of(round)
		walked++
		named[v.Cause]++
		for _, law := range laws {
			if !broken[law.name] && !law.holds(round, v) {
				broken[law.name] = true
				t.Errorf("%s: but\n%s  wanted %d: %v, %q, also %v, missing %v", law.name, shown(round), round.Expect.Sandbox,
					v.Cause, v.Title, v.Also, v.Missing)
			}
		}
	}
	t.Logf("%d rounds: %v", walked, named)
}

// Every law catches the mistake that it is for.
func TestLawsCanFail(t *testing.T) {
	for _, law := range laws {
		t.Run(law.name, func(t *testing.T) {
			for round := range law.shows(t) {
				if !law.holds(round, law.broken(round)) {
					return
				}
			}
			t.Error("a judge that makes this mistake passes the whole world")
		})
	}
}

func BenchmarkOneLookup(b *testing.B) {
	round := diagnose.Round{Service: "codex", Results: diagnosetest.Results(`dns:ok(answers=1.2.3.4)`)}
	for b.Loop() {
		diagnose.Of(round)
	}
}

func BenchmarkConfirmingRound(b *testing.B) {
	round := diagnose.Round{Service: "codex", Results: diagnosetest.Results(diagnosetest.Working + diagnosetest.Offline)}
	for b.Loop() {
		diagnose.Of(round)
	}
}
