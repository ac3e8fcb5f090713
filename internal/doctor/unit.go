package doctor

import (
	"cmp"
	"context"
	"fmt"
	"netwatchd/internal/agent/codex"
	"slices"
	"strings"
)

// A unit is a systemd unit as systemctl show describes it.
type unit struct {
	name                    string
	user                    bool // belongs to the user's own manager (systemctl --user)
	load, file, active, why string
	dynamic                 bool   // DynamicUser: the user has no home directory, so no codex
	account                 string // User=
	unmanaged               bool   // systemd does not run here
}

var unitProperties = []string{"Id", "LoadState", "UnitFileState", "ActiveState", "Result", "DynamicUser", "User"}

// units returns the units that may run netwatchd for this user.
func (e *examination) units(ctx context.Context) ([]unit, error) {
	name := account(e.UID)
	show := []string{"systemctl", "show", "--property=" + strings.Join(unitProperties, ",")}
	// The pattern matches the running instances of all users.
	out, err := e.Run(ctx, append(show, "netwatchd.service", "netwatchd@"+name+".service", "netwatchd@*.service")...)
	if err != nil {
		return nil, err
	}
	all := readUnits(out, false)
	// A user without a running manager has no user units.
	userShow := slices.Concat(show[:1], []string{"--user"}, show[1:], []string{"netwatchd.service"})
	if own, err := e.Run(ctx, userShow...); err == nil {
		all = append(all, readUnits(own, true)...)
	}
	return slices.DeleteFunc(all, func(u unit) bool { return u.load == "not-found" }), nil
}

// readUnits parses the output of systemctl show: one block per unit, separated by empty lines.
func readUnits(text string, user bool) []unit {
	var all []unit
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		value := make(map[string]string)
		for line := range strings.Lines(block) {
			name, v, _ := strings.Cut(strings.TrimSpace(line), "=")
			value[name] = v
		}
		all = append(all, unit{name: value["Id"], user: user, load: value["LoadState"], file: value["UnitFileState"],
			active: value["ActiveState"], why: value["Result"], dynamic: value["DynamicUser"] == "yes",
			account: value["User"]})
	}
	return all
}

// manager returns the command that controls the unit's systemd.
func (u unit) manager() string {
	if u.user {
		return "systemctl --user"
	}
	return "systemctl"
}

func (u unit) command(verb string) string { return u.manager() + " " + verb + " " + u.name }

// dropIn returns the changes that add lines to the unit and apply them.
func (u unit) dropIn(file string, lines ...string) []Change {
	dir := "/etc/systemd/system/"
	if u.user {
		dir = "~/.config/systemd/user/"
	}
	return []Change{write(dir+u.name+".d/"+file, lines...), run(u.manager()+" daemon-reload", u.command("restart"))}
}

// findUnit chooses the unit that netwatchd runs under, or would run under. It reports false if none is installed.
func (e *examination) findUnit(ctx context.Context) (own unit, found bool, err error) {
	own = unit{name: "netwatchd.service"}
	if !e.exists("run/systemd/system") {
		own.unmanaged = true
		return own, false, nil
	}
	all, err := e.units(ctx)
	if len(all) == 0 {
		return own, false, err
	}
	return slices.MaxFunc(all, func(a, b unit) int { return cmp.Compare(a.rank(), b.rank()) }), true, nil
}

// rank orders units: one that runs first, then one that failed or is starting, then one that is enabled.
func (u unit) rank() int {
	switch {
	case u.active == "active":
		return 3
	case u.active != "inactive":
		return 2
	case u.file == "enabled":
		return 1
	}
	return 0
}

func (e *examination) unit(ctx context.Context) []Finding {
	const check = "unit"
	own, found, err := e.findUnit(ctx)
	e.own = own
	switch {
	case err != nil:
		return one(check, Unknown, fmt.Sprintf("systemctl failed: %v", err), run("systemctl status netwatchd"))
	case found:
	case e.exists("run/systemd/system"):
		file, instance := "netwatchd.service", "netwatchd.service"
		if e.hasAgent() {
			file, instance = "netwatchd@.service", "netwatchd@"+account(e.UID)+".service"
		}
		return one(check, Advice, "not installed: netwatchd does not start at boot",
			run("cp deploy/systemd/"+file+" /etc/systemd/system/", "systemctl daemon-reload",
				"systemctl enable --now "+instance))
	default:
		return one(check, Note, "systemd does not run here: netwatchd must be started by something else or by hand")
	}
	findings := []Finding{own.found()}
	if own.dynamic && e.hasAgent() {
		findings = append(findings, newFinding(check, Advice,
			own.name+" runs as its own user, which has no agent: this user's agent is not monitored",
			run(own.command("disable --now"), "systemctl enable --now netwatchd@"+account(e.UID)+".service")))
	}
	return findings
}

// hasAgent reports whether this user has an agent that the configuration runs.
func (e *examination) hasAgent() bool {
	configured, wanted := e.configuredCodex()
	if !wanted || e.UID == 0 { // the per-user unit's hardening is made for a person's agent, not for root's
		return false
	}
	_, err := codex.Find(configured.Path)
	return err == nil
}

func (u unit) found() Finding {
	const check = "unit"
	switch {
	case u.load != "loaded":
		return newFinding(check, Fault, fmt.Sprintf("%s is %s", u.name, u.load), run(u.command("status")))
	case u.active == "failed":
		return newFinding(check, Fault, fmt.Sprintf("%s failed (%s)", u.name, u.why),
			run("journalctl -u "+u.name+" -n 20", u.command("restart")))
	case u.active != "active":
		return newFinding(check, Fault, fmt.Sprintf("%s is %s", u.name, u.active), run(u.command("enable --now")))
	case u.file == "disabled":
		return newFinding(check, Advice, u.name+" runs, but does not start at boot", run(u.command("enable")))
	}
	return newFinding(check, OK, fmt.Sprintf("%s is %s and %s", u.name, u.file, u.active))
}
