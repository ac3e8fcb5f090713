package scenes

import (
	"slices"
	"strings"
	"syscall"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/lab/world"
)

// The network settings of the sandbox in the user's config.toml.
const (
	closedMode = "sandbox_mode = 'workspace-write'\n"
	openMode   = closedMode + "[sandbox_workspace_write]\nnetwork_access = true\n"
	noSandbox  = "sandbox_mode = 'danger-full-access'\n"
	readOnly   = "sandbox_mode = 'read-only'\n[sandbox_workspace_write]\nnetwork_access = true\n"
)

var backtest = []string{"backtest", "-n", "1"}

// The network is healthy except for the agent: the real codex, in its real sandbox, signed in to the service.
var agents = slices.Concat(ofCodex("0.104.0"), ofCodex("0.169.0"), unsaid("0.169.0"), ofOtherSandboxes)

// ofCodex are the scenes of one version of codex.
func ofCodex(version string) []Scene {
	closed := world.Config{Agent: version, Sandbox: "closed"}
	open := world.Config{Agent: version, Sandbox: "open"}
	slow := world.Config{Agent: version, Sandbox: "closed", Interval: 4 * time.Second} // a run inside takes up to ten seconds
	all := []Scene{
		{Name: "the sandbox is closed, as configured", Config: closed, Cause: "healthy", Inside: "local.denied"},
		{Name: "the sandbox is closed, want: any", Config: world.Config{Agent: version, Sandbox: "any"}, Cause: "healthy",
			Inside: "local.denied"},
		{Name: "the sandbox is opened, want: closed", Config: closed, Inject: configures(openMode), Cause: "sandbox_open", Class: "ok"},
		{Name: "the sandbox is switched off, want: closed", Config: closed, Inject: configures(noSandbox),
			Cause: "sandbox_open", Class: "ok"},
		{Name: "the sandbox is open, as configured", Config: open, Before: configures(openMode), Cause: "healthy", Inside: "ok",
			ByHand: ByHand{Command: backtest}},
		{Name: "the sandbox is closed, want: open", Config: open, Before: configures(openMode), Inject: configures(closedMode),
			Cause: "sandbox", Class: "local.denied"},
		{Name: "the sandbox becomes read-only, which closes it, want: open", Config: open, Before: configures(openMode), Inject: configures(readOnly),
			Cause: "sandbox", Class: "local.denied"},
		{Name: "the service is down, the sandbox is closed", Config: closed, Inject: (*world.World).CloseService,
			Cause: "upstream", Class: "tcp.refused"},
		{Name: "the service is down, the sandbox is open as configured", Config: open, Before: configures(openMode),
			Inject: (*world.World).CloseService, Cause: "upstream", Class: "tcp.refused"},

		{Name: "the first nameserver is down, the sandbox is closed", Config: closed, Before: bothNameservers,
			Inject: (*world.World).StopResolver, Cause: "resolver_degraded", Class: "dns.unreachable"},
		{Name: "the first nameserver is down, the sandbox is open as configured", Config: open, Before: func(w *world.World) {
			bothNameservers(w)
			configures(openMode)(w)
		}, Inject: (*world.World).StopResolver, Cause: "resolver_degraded", Class: "dns.unreachable"},

		{Name: "the agent runs the agent inside its sandbox", Config: slow, Cause: "healthy", ByHand: ByHand{Command: backtest}},
		{Name: "the agent runs the agent inside its sandbox while the service is down", Config: slow, Inject: (*world.World).CloseService,
			Cause: "upstream", Class: "tcp.refused", ByHand: ByHand{Command: backtest}},
		{Name: "the agent runs netwatchd check inside its sandbox", Config: closed, Cause: "healthy",
			ByHand: ByHand{Inside: true, Cause: "self_sandboxed", Class: "local.denied"}},

		{Name: "codex is not installed", Config: closed, Inject: agent((*world.Agent).Uninstall), Cause: "agent", Class: "exec.not_found"},
		// The daemon is told by what comes first: the sandbox that does not start, or the agent's status.
		{Name: "codex's config.toml is invalid", Config: closed, Inject: configures("x = ["), Cause: "agent",
			ByHand: ByHand{Cause: "agent", Class: "exec.config_invalid"}},
		{Name: "the config.toml of netwatchd's own runs is invalid", Config: closed,
			Inject: agent(func(a *world.Agent) { a.ConfigureOurs("x = [") }),
			Cause:  "agent", Class: "exec.config_invalid", ByHand: ByHand{Command: backtest}},
		{Name: "codex cannot write its sign-in", Config: closed, Inject: agent((*world.Agent).ProtectSignIn),
			Cause: "agent", Class: "exec.home_unwritable", ByHand: ByHand{Command: backtest}},
		{Name: "nobody is signed in, no run shows it yet", Config: closed, Inject: agent((*world.Agent).SignOut),
			Cause: "account", Class: "exec.not_logged_in"},
		{Name: "nobody is signed in", Config: closed, Inject: agent((*world.Agent).SignOut),
			Cause: "account", Class: "exec.not_logged_in", ByHand: ByHand{Command: backtest}},
		{Name: "the service rejects the sign-in", Config: closed, Inject: (*world.World).RefuseSignIn,
			Cause: "account", Class: "exec.unauthorized", ByHand: ByHand{Command: backtest}},
		{Name: "the service says that no sign-in came", Config: closed, Inject: turns(responses.SignInMissing),
			Cause: "interception", Class: "exec.sign_in_missing", ByHand: ByHand{Command: backtest},
			Says: []string{"Signing in again does not help"}},
		{Name: "the usage limit is reached", Config: closed, Inject: turns(responses.UsageLimit),
			Cause: "account", Class: "exec.usage_limit", ByHand: ByHand{Command: backtest}},
		{Name: "the service rejects the model", Config: slow, Inject: turns(responses.ModelRefused),
			Cause: "agent", Class: "exec.model_rejected", ByHand: ByHand{Command: backtest}},
		{Name: "the agent gives an unexpected answer", Config: closed, Inject: turns(responses.Other),
			Cause: "unexpected_answer", Class: "exec.unexpected_output", ByHand: ByHand{Command: backtest}},
		{Name: "the connection drops during the agent's answer", Config: closed, Inject: turns(responses.Cut),
			Cause: "stream", Class: "exec.stream_cut", ByHand: ByHand{Command: backtest}},
		{Name: "the service does not answer the agent's requests", Config: closed, Inject: turns(responses.StallHeaders),
			Cause: "upstream", Class: "exec.timed_out", ByHand: ByHand{Command: backtest}},
		{Name: "the CDN blocks the agent's requests", Config: closed, Inject: turns(responses.Challenge),
			Cause: "edge_blocked", Class: "http.edge_blocked", ByHand: ByHand{Command: backtest}},
		{Name: "the service answers 413 to the agent's requests", Config: slow, Inject: turns(responses.TooLarge),
			Cause: "unexpected_answer", Class: "http.unexpected_status", ByHand: ByHand{Command: backtest}},
	}
	for i := range all {
		all[i].Name = "codex " + version + ": " + all[i].Name
	}
	return all
}

// unsaid are scenes without want: what the user's config.toml allows is what is expected.
func unsaid(version string) []Scene {
	config := world.Config{Agent: version, Sandbox: world.Unsaid}
	return []Scene{
		{Name: "codex " + version + ": the sandbox is closed, and no want is given", Config: config, Cause: "healthy", Inside: "local.denied"},
		{Name: "codex " + version + ": the sandbox is open, and no want is given", Config: config, Before: configures(openMode),
			Cause: "healthy", Inside: "ok"},
	}
}

// ofOtherSandboxes are scenes with another sandbox command.
var ofOtherSandboxes = []Scene{
	{Name: "bubblewrap without network, want: closed", Config: wrapped("closed", offline), Cause: "healthy", Inside: "local.no_route"},
	{Name: "bubblewrap without network, want: open", Config: wrapped("open", online), Inject: wraps(offline),
		Cause: "sandbox", Class: "local.no_route"},
	{Name: "bubblewrap with network, want: closed", Config: wrapped("closed", offline), Inject: wraps(online),
		Cause: "sandbox_open", Class: "ok"},
	{Name: "bubblewrap with network, want: open", Config: wrapped("open", online), Cause: "healthy", Inside: "ok"},
	{Name: "a seccomp filter answers EPERM, want: closed", Config: wrapped("closed", eperm), Cause: "healthy", Inside: "local.denied"},
	{Name: "a seccomp filter answers EPERM, want: open", Config: wrapped("open", online), Inject: wraps(eperm),
		Cause: "sandbox", Class: "local.denied"},
	{Name: "a seccomp filter answers EACCES, want: closed", Config: wrapped("closed", eacces), Cause: "healthy", Inside: "local.denied"},
	{Name: "a seccomp filter answers EACCES, want: open", Config: wrapped("open", online), Inject: wraps(eacces),
		Cause: "sandbox", Class: "local.denied"},
	{Name: "the sandbox command is missing", Config: wrapped("closed", offline), Inject: agent((*world.Agent).Unwrap),
		Cause: "agent", Class: "exec.not_found"},
	{Name: "the sandbox command fails", Config: wrapped("closed", offline),
		Inject: wraps("echo bwrap: setting up uid map: Permission denied >&2; exit 1"), Cause: "agent", Class: "exec.start_failed"},
	{Name: "the sandbox command prints nothing", Config: wrapped("open", online), Inject: wraps("exit 0"),
		Cause: "agent", Class: "exec.unexpected_output"},
	{Name: "the sandbox command hangs", Config: wrapped("closed", offline), Inject: wraps("sleep 100"),
		Cause: "agent", Class: "exec.timed_out"},
}

var (
	online  = `exec bwrap --dev-bind / / -- "$@"`
	offline = `exec bwrap --dev-bind / / --unshare-net -- "$@"`
	eperm   = `exec ` + strings.Join(parts.Filtered(syscall.EPERM), " ") + ` "$@"`
	eacces  = `exec ` + strings.Join(parts.Filtered(syscall.EACCES), " ") + ` "$@"`
)

func wrapped(want, wrapper string) world.Config { return world.Config{Sandbox: want, Wrapper: wrapper} }

func wraps(line string) func(*world.World) {
	return agent(func(a *world.Agent) { a.Wrap(line) })
}

func agent(inject func(*world.Agent)) func(*world.World) {
	return func(w *world.World) { inject(w.Agent) }
}

func configures(toml string) func(*world.World) {
	return agent(func(a *world.Agent) { a.Configure(toml) })
}

func turns(end responses.Behaviour) func(*world.World) {
	return func(w *world.World) { w.EndTurns(end) }
}
