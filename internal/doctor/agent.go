package doctor

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/config"
	"netwatchd/internal/probe"
)

// agentOf is the run of codex that the configuration has, if any.
func (e *examination) agentOf() (config.Codex, bool) {
	for _, s := range e.Config.Services {
		for _, p := range s.Probes {
			if p.Preset == "codex" {
				return p.Codex, true
			}
		}
	}
	return config.Codex{}, false
}

// codex tells whether there is one, of which version, and whether someone is signed in.
func (e *examination) codex(ctx context.Context) []Finding {
	const check = "codex"
	codex, wanted := e.agentOf()
	if !wanted {
		return []Finding{{check, Note, "the configuration does not run it", nil}}
	}
	found, err := agent.FindCodex(codex.Path)
	if err != nil {
		outcome := Fault
		if e.Config.Assumed {
			outcome = Advice // nobody asked for it: the network is watched all the same
		}
		return []Finding{{check, outcome, "it is not on the PATH: its runs and its sandbox are not watched", []Change{run("npm install -g @openai/codex")}}}
	}
	version, err := agent.CodexVersion(ctx, found)
	if err != nil {
		return []Finding{{check, Fault, err.Error(), []Change{run("npm install -g @openai/codex")}}}
	}
	all := []Finding{{check, OK, fmt.Sprintf("%s, %s", version, found), nil}}
	if err := agent.SignedIn(ctx, found, codex.Home); err != nil {
		return append(all, Finding{"sign-in", Fault, err.Error(), []Change{run("codex login")}})
	}
	return append(all, Finding{"sign-in", OK, "this user has one", nil})
}

// sandbox starts the agent's sandbox as the daemon does.
func (e *examination) sandbox(ctx context.Context) []Finding {
	var all []Finding
	for i, s := range e.Plan.Services {
		if s.SandboxProbes == nil {
			continue
		}
		start := time.Now()
		results, done := s.SandboxProbes.Run(ctx, twinLimit)
		if done {
			all = append(all, e.sandboxed(results, e.Config.Services[i], time.Since(start)))
		}
	}
	return all
}

// twinLimit bounds each attempt in there: a closed sandbox says so at once, and whether an open one reaches the service
// is not the question.
const twinLimit = time.Second

func (e *examination) sandboxed(results []probe.Result, s config.Service, took time.Duration) Finding {
	const check = "sandbox"
	look := slices.IndexFunc(results, func(r probe.Result) bool { return r.Role == probe.OfHost })
	if look < 0 { // it did not start: every attempt says why
		why := "no attempt came back"
		if len(results) > 0 {
			why = results[0].Why
		}
		return Finding{check, Fault, "it does not start: " + why, []Change{run("netwatchd check -v # shows the attempt")}}
	}
	is := "open"
	if results[look].Class == probe.LocalDenied {
		is = "closed"
	}
	says := fmt.Sprintf("it starts in %.1f s; the network is %s in there", took.Seconds(), is)
	if want := s.Sandbox.Want.String(); want != "any" && want != is {
		return Finding{check, Fault, says + ", and wanted " + want, []Change{e.turn(s.Sandbox, is)}}
	}
	return Finding{check, OK, says + ", as configured", nil}
}

// turn is how the sandbox becomes as it is wanted: by codex' own configuration or, where another program makes it, by ours.
func (e *examination) turn(sandbox *config.Sandbox, is string) Change {
	if c := sandbox.Command; len(c) > 0 && c[0] != "codex" {
		return write(e.configFile(), "sandbox: {want: "+is+"} # or another command")
	}
	codex, _ := e.agentOf()
	return write(path.Join(cmp.Or(codex.Home, "~/.codex"), "config.toml"), `sandbox_mode = "workspace-write"`,
		"[sandbox_workspace_write]", fmt.Sprintf("network_access = %t", is == "closed"))
}
