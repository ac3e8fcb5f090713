package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"netwatchd/internal/agent"
)

// A unit is what systemd says of one.
type unit struct {
	name                    string
	user                    bool // of the user's own manager
	load, file, active, why string
	dynamic                 bool // its user has no home, and so no codex
}

var unitProperties = []string{"Id", "LoadState", "UnitFileState", "ActiveState", "Result", "DynamicUser"}

// units are those under which netwatchd may run for this user.
func (e *examination) units(ctx context.Context) ([]unit, error) {
	name := account(e.UID)
	show := []string{"systemctl", "show", "--property=" + strings.Join(unitProperties, ",")}
	// the pattern matches those that run, whosever they are
	said, err := e.Run(ctx, append(show, "netwatchd.service", "netwatchd@"+name+".service", "netwatchd@*.service")...)
	if err != nil {
		return nil, err
	}
	all := readUnits(said, false)
	// a user without a manager of its own has no units of its own
	if own, err := e.Run(ctx, append([]string{show[0], "--user"}, append(show[1:], "netwatchd.service")...)...); err == nil {
		all = append(all, readUnits(own, true)...)
	}
	return slices.DeleteFunc(all, func(u unit) bool { return u.load == "not-found" }), nil
}

// readUnits reads what systemctl show prints: a block for each unit, with an empty line between them.
func readUnits(said string, user bool) []unit {
	var all []unit
	for block := range strings.SplitSeq(strings.TrimSpace(said), "\n\n") {
		value := make(map[string]string)
		for line := range strings.Lines(block) {
			name, v, _ := strings.Cut(strings.TrimSpace(line), "=")
			value[name] = v
		}
		all = append(all, unit{value["Id"], user, value["LoadState"], value["UnitFileState"], value["ActiveState"], value["Result"],
			value["DynamicUser"] == "yes"})
	}
	return all
}

// manager is how the unit's systemd is talked to.
func (u unit) manager() string {
	if u.user {
		return "systemctl --user"
	}
	return "systemctl"
}

func (u unit) command(words string) string { return u.manager() + " " + words + " " + u.name }

// dropIn is lines added to the unit, and what makes them hold.
func (u unit) dropIn(file string, lines ...string) []Change {
	dir := "/etc/systemd/system/"
	if u.user {
		dir = "~/.config/systemd/user/"
	}
	return []Change{write(dir+u.name+".d/"+file, lines...), run(u.manager()+" daemon-reload", u.command("restart"))}
}

// findUnit chooses the one under which netwatchd runs, or would. It reports false if none is installed.
func (e *examination) findUnit(ctx context.Context) (own unit, found bool, err error) {
	own = unit{name: "netwatchd.service"}
	if !e.exists("run/systemd/system") {
		return own, false, nil
	}
	all, err := e.units(ctx)
	if len(all) == 0 {
		return own, false, err
	}
	return slices.MaxFunc(all, func(a, b unit) int { return cmp.Compare(a.rank(), b.rank()) }), true, nil
}

// rank tells the unit that is meant: one that runs, else one that has failed, else one that is to start with the host.
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
		return []Finding{{check, Unknown, fmt.Sprintf("systemctl does not answer: %v", err), []Change{run("systemctl status netwatchd")}}}
	case found:
	case e.exists("run/systemd/system"):
		file, instance := "netwatchd.service", "netwatchd.service"
		if e.hasAgent() {
			file, instance = "netwatchd@.service", "netwatchd@"+account(e.UID)+".service"
		}
		return []Finding{{check, Advice, "none is installed: netwatchd does not start with this host",
			[]Change{run("cp deploy/systemd/"+file+" /etc/systemd/system/", "systemctl daemon-reload", "systemctl enable --now "+instance)}}}
	default:
		return []Finding{{check, Note, "systemd does not run here: netwatchd is started by something else, or by hand", nil}}
	}
	findings := []Finding{own.found()}
	if own.dynamic && e.hasAgent() {
		findings = append(findings, Finding{check, Advice, own.name + " runs as a user of its own, who has no agent: this user's is not watched",
			[]Change{run(own.command("disable --now"), "systemctl enable --now netwatchd@"+account(e.UID)+".service")}})
	}
	return findings
}

// hasAgent reports whether this user has an agent that the configuration would run.
func (e *examination) hasAgent() bool {
	codex, wanted := e.agentOf()
	if !wanted || e.UID == 0 { // root's is a matter of its own: the hardening is made for a person's
		return false
	}
	_, err := agent.FindCodex(codex.Path)
	return err == nil
}

func (u unit) found() Finding {
	const check = "unit"
	switch {
	case u.load != "loaded":
		return Finding{check, Fault, fmt.Sprintf("%s is %s", u.name, u.load), []Change{run(u.command("status"))}}
	case u.active == "failed":
		return Finding{check, Fault, fmt.Sprintf("%s has failed (%s)", u.name, u.why), []Change{run("journalctl -u "+u.name+" -n 20", u.command("restart"))}}
	case u.active != "active":
		return Finding{check, Fault, fmt.Sprintf("%s is %s", u.name, u.active), []Change{run(u.command("enable --now"))}}
	case u.file == "disabled":
		return Finding{check, Advice, u.name + " runs, but does not start with this host", []Change{run(u.command("enable"))}}
	}
	return Finding{check, OK, fmt.Sprintf("%s is %s and %s", u.name, u.file, u.active), nil}
}
