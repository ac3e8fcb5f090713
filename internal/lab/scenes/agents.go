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

// What the user's config.toml says of the network in the sandbox.
const (
	closedMode = "sandbox_mode = 'workspace-write'\n"
	openMode   = closedMode + "[sandbox_workspace_write]\nnetwork_access = true\n"
	noSandbox  = "sandbox_mode = 'danger-full-access'\n"
	readOnly   = "sandbox_mode = 'read-only'\n[sandbox_workspace_write]\nnetwork_access = true\n"
)

var backtest = []string{"backtest", "-n", "1"}

// The network is well for everyone but the agent: the real codex, in its real sandbox, signed in to the service.
var agents = slices.Concat(ofCodex("0.104.0", "exec.network"), ofCodex("0.169.0", "exec.home_unwritable"), ofOtherSandboxes)

// ofCodex are the scenes of a version of codex, which has that class for a run of its own inside its sandbox.
func ofCodex(version, inside string) []Scene {
	closed := world.Config{Agent: version, Sandbox: "closed"}
	open := world.Config{Agent: version, Sandbox: "open"}
	slow := world.Config{Agent: version, Sandbox: "closed", Interval: 4 * time.Second} // a run in it takes up to ten seconds
	incident := func(cause, class string) Asked { return Asked{Command: backtest, Cause: cause, Class: class} }
	all := []Scene{
		{Name: "the sandbox is closed, and wanted closed", Config: closed, Cause: "healthy", Inside: "local.denied"},
		{Name: "the sandbox is closed, and nobody minds", Config: world.Config{Agent: version, Sandbox: "any"}, Cause: "healthy",
			Inside: "local.denied"},
		{Name: "the sandbox is opened, though wanted closed", Config: closed, Bend: configures(openMode), Cause: "sandbox_open", Class: "ok"},
		{Name: "the sandbox is given up, though wanted closed", Config: closed, Bend: configures(noSandbox),
			Cause: "sandbox_open", Class: "ok"},
		{Name: "the sandbox is open, and wanted open", Config: open, Before: configures(openMode), Cause: "healthy", Inside: "ok",
			Asked: Asked{Command: backtest}},
		{Name: "the sandbox is closed, though wanted open", Config: open, Before: configures(openMode), Bend: configures(closedMode),
			Cause: "sandbox", Class: "local.denied"},
		{Name: "the sandbox becomes read-only, which closes it", Config: open, Before: configures(openMode), Bend: configures(readOnly),
			Cause: "sandbox", Class: "local.denied"},
		{Name: "the service is down, and the sandbox closed", Config: closed, Bend: (*world.World).CloseService,
			Cause: "upstream", Class: "tcp.refused"},
		{Name: "the service is down, and the sandbox open as wanted", Config: open, Before: configures(openMode),
			Bend: (*world.World).CloseService, Cause: "upstream", Class: "tcp.refused"},

		{Name: "the first nameserver is dead, and the sandbox closed", Config: closed, Before: bothNameservers,
			Bend: (*world.World).StopResolver, Cause: "resolver_degraded", Class: "dns.unreachable"},
		{Name: "the first nameserver is dead, and the sandbox open as wanted", Config: open, Before: func(w *world.World) {
			bothNameservers(w)
			configures(openMode)(w)
		}, Bend: (*world.World).StopResolver, Cause: "resolver_degraded", Class: "dns.unreachable"},

		{Name: "the agent runs itself inside its sandbox", Config: slow, Cause: "healthy", Asked: incident("sandbox", inside)},
		{Name: "the agent runs itself inside its sandbox while the service is down", Config: slow, Bend: (*world.World).CloseService,
			Cause: "upstream", Class: "tcp.refused", Asked: Asked{Command: backtest}},
		{Name: "the agent asks netwatchd inside its sandbox", Config: closed, Cause: "healthy",
			Asked: Asked{Inside: true, Cause: "self_sandboxed", Class: "local.denied"}},

		{Name: "codex is gone", Config: closed, Bend: agent((*world.Agent).Uninstall), Cause: "agent", Class: "exec.not_found"},
		{Name: "codex's configuration is broken", Config: closed, Bend: configures("x = ["), Cause: "agent", Class: "exec.start_failed"},
		{Name: "codex's configuration for netwatchd's runs is broken", Config: closed,
			Bend:  agent(func(a *world.Agent) { a.ConfigureOurs("x = [") }),
			Cause: "agent", Class: "exec.config_invalid", Asked: Asked{Command: backtest}},
		{Name: "codex may not write its sign-in", Config: closed, Bend: agent((*world.Agent).Protect),
			Cause: "agent", Class: "exec.home_unwritable", Asked: Asked{Command: backtest}},
		{Name: "nobody is signed in", Config: closed, Bend: agent((*world.Agent).SignOut),
			Cause: "account", Class: "exec.not_logged_in", Asked: Asked{Command: backtest}},
		{Name: "the sign-in is refused", Config: closed, Bend: (*world.World).RefuseSignIn,
			Cause: "account", Class: "exec.unauthorized", Asked: Asked{Command: backtest}},
		{Name: "the usage limit is reached", Config: closed, Bend: turns(responses.UsageLimit),
			Cause: "account", Class: "exec.usage_limit", Asked: Asked{Command: backtest}},
		{Name: "the model is refused", Config: slow, Bend: turns(responses.ModelRefused),
			Cause: "agent", Class: "exec.model_rejected", Asked: Asked{Command: backtest}},
		{Name: "the agent answers something else", Config: closed, Bend: turns(responses.Other),
			Cause: "unexpected_answer", Class: "exec.unexpected_output", Asked: Asked{Command: backtest}},
		{Name: "the agent's answer is cut", Config: closed, Bend: turns(responses.Cut),
			Cause: "stream", Class: "exec.stream_cut", Asked: Asked{Command: backtest}},
	}
	for i := range all {
		all[i].Name = "codex " + version + ": " + all[i].Name
	}
	return all
}

// ofOtherSandboxes are scenes of any other command that runs a command.
var ofOtherSandboxes = []Scene{
	{Name: "bubblewrap without network, wanted closed", Config: wrapped("closed", offline), Cause: "healthy", Inside: "local.no_route"},
	{Name: "bubblewrap without network, wanted open", Config: wrapped("open", online), Bend: wraps(offline),
		Cause: "sandbox", Class: "local.no_route"},
	{Name: "bubblewrap with network, wanted closed", Config: wrapped("closed", offline), Bend: wraps(online),
		Cause: "sandbox_open", Class: "ok"},
	{Name: "bubblewrap with network, wanted open", Config: wrapped("open", online), Cause: "healthy", Inside: "ok"},
	{Name: "a filter that answers EPERM, wanted closed", Config: wrapped("closed", eperm), Cause: "healthy", Inside: "local.denied"},
	{Name: "a filter that answers EPERM, wanted open", Config: wrapped("open", online), Bend: wraps(eperm),
		Cause: "sandbox", Class: "local.denied"},
	{Name: "a filter that answers EACCES, wanted closed", Config: wrapped("closed", eacces), Cause: "healthy", Inside: "local.denied"},
	{Name: "a filter that answers EACCES, wanted open", Config: wrapped("open", online), Bend: wraps(eacces),
		Cause: "sandbox", Class: "local.denied"},
	{Name: "the sandbox's command is gone", Config: wrapped("closed", offline), Bend: agent((*world.Agent).Unwrap),
		Cause: "agent", Class: "exec.not_found"},
	{Name: "the sandbox's command refuses", Config: wrapped("closed", offline),
		Bend: wraps("echo bwrap: setting up uid map: Permission denied >&2; exit 1"), Cause: "agent", Class: "exec.start_failed"},
	{Name: "the sandbox's command says nothing", Config: wrapped("open", online), Bend: wraps("exit 0"),
		Cause: "agent", Class: "exec.unexpected_output"},
	{Name: "the sandbox's command hangs", Config: wrapped("closed", offline), Bend: wraps("sleep 100"),
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

func agent(bend func(*world.Agent)) func(*world.World) {
	return func(w *world.World) { bend(w.Agent) }
}

func configures(toml string) func(*world.World) {
	return agent(func(a *world.Agent) { a.Configure(toml) })
}

func turns(end responses.Behaviour) func(*world.World) {
	return func(w *world.World) { w.TurnsEnd(end) }
}
