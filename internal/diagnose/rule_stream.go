package diagnose

import "netwatchd/internal/probe"

func brokenStream(v *view) *finding {
	control := v.control()
	if control == nil {
		return nil
	}
	r := v.fails(func(r *probe.Result) bool {
		switch {
		case inexplicable(r) || r.Phase <= probe.Resolve && r.Class != probe.ExecStreamCut:
			return false
		case silent(r) && v.lossy() != nil:
			return false // see unexplainedWire
		case r.Class == probe.ExecStreamCut: // the service began to answer the agent, and its answer was cut
			return v.fine() != nil && v.nameResolved()
		case r.Kind != probe.KindStream:
			return false
		}
		return r.Class.Layer() == "stream" || v.httpFine() && v.serviceFault(r)
	})
	if r == nil {
		return nil
	}
	works := first(v.own, func(r *probe.Result) bool { return r.Kind == probe.KindHTTP && r.OK() })
	return &finding{title: "HTTP works, but the stream " + says(r), evidence: []*probe.Result{r, works, control}}
}
