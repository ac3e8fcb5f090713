package scenes

import (
	"time"

	"netwatchd/internal/lab/wire"
	"netwatchd/internal/lab/world"
)

// briefly is less than a stream is held.
const briefly = world.Hold / 2

// A check holds nothing: it sees that an upgrade gets through, and no more.
var seesNothing = Asked{Cause: "healthy"}

// The network is well for whatever is short.
var streams = []Scene{
	{Name: "the service upgrades nobody who is not signed in", Bend: streamsAs(world.Refuses), Cause: "healthy"},
	{Name: "something on the way refuses upgrades", Bend: func(w *world.World) { w.UpgradesGet("501") },
		Cause: "stream", Class: "http.server_error"},
	{Name: "something on the way answers upgrades with a page", Bend: func(w *world.World) { w.UpgradesGet(`200 "<html>hello</html>"`) },
		Cause: "stream", Class: "stream.upgrade_refused"},
	{Name: "an upgrade is not answered", Bend: streamsAs(world.Hangs), Cause: "stream", Class: "http.timed_out"},
	{Name: "a load balancer cuts streams that idle", Bend: func(w *world.World) { w.ServiceCutsIdle(briefly) },
		Cause: "stream", Class: "stream.idle_cut", Asked: seesNothing},
	{Name: "a NAT forgets connections that idle, and drops what comes", Bend: func(w *world.World) { w.Forget("drop") },
		Cause: "stream", Class: "stream.stalled", Asked: seesNothing},
	{Name: "a NAT forgets connections that idle, and resets them", Bend: func(w *world.World) { w.Forget("reject with tcp reset") },
		Cause: "stream", Class: "stream.idle_cut", Asked: seesNothing},
	{Name: "the proxy cuts streams that idle", Before: func(w *world.World) { w.UseProxy() },
		Bend: func(w *world.World) { w.Proxy.CutIdle(briefly) }, Cause: "stream", Class: "stream.idle_cut", Asked: seesNothing},
	{Name: "a stream is cut as soon as it is used", Bend: streamsAs(world.HangsUp), Cause: "stream", Class: "stream.cut"},
	{Name: "a stream stalls", Bend: streamsAs(world.Mute), Cause: "stream", Class: "stream.stalled"},
	{Name: "streams are cut and the service answers 503", Bend: func(w *world.World) {
		w.ServiceCutsIdle(briefly)
		w.ServiceAnswers(503)
	}, Cause: "upstream", Class: "http.server_error"},
	{Name: "upgrades are refused and the service's port is closed", Bend: func(w *world.World) {
		w.UpgradesGet("501")
		w.CloseService()
	}, Cause: "upstream", Class: "tcp.refused"},
	{Name: "streams are cut and the resolver is stopped", Bend: func(w *world.World) {
		w.ServiceCutsIdle(briefly)
		w.StopResolver()
	}, Cause: "resolver", Class: "dns.unreachable"},
	{Name: "a stream is held on a long way", Config: patient, Bend: func(w *world.World) { w.Bend(wire.Bend{Delay: 150 * time.Millisecond}) },
		Cause: "healthy"},
}

func streamsAs(how world.Streaming) func(*world.World) {
	return func(w *world.World) { w.ServiceStreams(how) }
}
