package scenes

import (
	"time"

	"netwatchd/internal/lab/wire"
	"netwatchd/internal/lab/world"
)

// briefly is shorter than a stream is held.
const briefly = world.Hold / 2

// A check holds no stream: it sees only that the upgrade works.
var seesNothing = ByHand{Cause: "healthy"}

// Faults that affect only WebSockets.
var streams = []Scene{
	{Name: "the service refuses WebSocket upgrades without a sign-in", Inject: streamsAs(world.Refuses), Cause: "healthy"},
	{Name: "a middlebox refuses WebSocket upgrades", Inject: func(w *world.World) { w.AnswerUpgrades("501") },
		Cause: "stream", Class: "http.server_error"},
	{Name: "a middlebox answers WebSocket upgrades with a page", Inject: func(w *world.World) { w.AnswerUpgrades(`200 "<html>hello</html>"`) },
		Cause: "stream", Class: "stream.upgrade_refused"},
	{Name: "a WebSocket upgrade is not answered", Inject: streamsAs(world.Hangs), Cause: "stream", Class: "http.timed_out"},
	{Name: "a load balancer drops idle streams", Inject: func(w *world.World) { w.ServiceDropsIdle(briefly) },
		Cause: "stream", Class: "stream.idle_cut", ByHand: seesNothing},
	{Name: "a NAT forgets idle connections and drops their packets", Inject: func(w *world.World) { w.ForgetIdle("drop") },
		Cause: "stream", Class: "stream.stalled", ByHand: seesNothing},
	{Name: "a NAT forgets idle connections and resets them", Inject: func(w *world.World) { w.ForgetIdle("reject with tcp reset") },
		Cause: "stream", Class: "stream.idle_cut", ByHand: seesNothing},
	{Name: "the proxy drops idle streams", Before: func(w *world.World) { w.UseProxy() },
		Inject: func(w *world.World) { w.Proxy.DropIdle(briefly) }, Cause: "stream", Class: "stream.idle_cut", ByHand: seesNothing},
	{Name: "a stream is dropped at its first message", Inject: streamsAs(world.HangsUp), Cause: "stream", Class: "stream.cut"},
	{Name: "a stream stalls", Inject: streamsAs(world.Mute), Cause: "stream", Class: "stream.stalled"},
	{Name: "idle streams are dropped and the service answers 503", Inject: func(w *world.World) {
		w.ServiceDropsIdle(briefly)
		w.ServiceAnswers(503)
	}, Cause: "upstream", Class: "http.server_error"},
	{Name: "WebSocket upgrades are refused and the service's port is closed", Inject: func(w *world.World) {
		w.AnswerUpgrades("501")
		w.CloseService()
	}, Cause: "upstream", Class: "tcp.refused"},
	{Name: "idle streams are dropped and the resolver is stopped", Inject: func(w *world.World) {
		w.ServiceDropsIdle(briefly)
		w.StopResolver()
	}, Cause: "resolver", Class: "dns.unreachable"},
	{Name: "a stream is held over a slow network path", Config: slowConfig, Inject: func(w *world.World) { w.Impair(wire.Impairment{Delay: 150 * time.Millisecond}) },
		Cause: "healthy"},
}

func streamsAs(how world.Streaming) func(*world.World) {
	return func(w *world.World) { w.ServiceStreams(how) }
}
