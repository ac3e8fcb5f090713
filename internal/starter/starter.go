// Package starter writes a first configuration file for this host.
package starter

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"netwatchd/internal/config"
	"netwatchd/internal/doctor"
	"netwatchd/internal/host"
	"netwatchd/internal/plan"
	"netwatchd/internal/redact"
	"netwatchd/internal/resolvconf"
)

// Facts are what is known of this host.
type Facts struct {
	Findings    []doctor.Finding
	Watched     []string // "SERVICE: where its requests go, because of what", of each service without a configuration
	Notes       []string // what is not watched, and why
	Nameservers []netip.AddrPort
	Proxies     map[string]string // of this shell, by the name of the variable
	WSL         host.WSLFacts
}

// Look examines this host as `netwatchd doctor` does, as if there were no configuration file. It starts the agent's
// sandbox, sends nothing to the network and takes one or two seconds.
func Look(ctx context.Context, version string) Facts {
	c := config.Builtin()
	p := plan.Of(c)
	here := doctor.Here()
	report := doctor.Examine(ctx, doctor.Installation{Host: here, Config: c, Plan: p, Version: version})
	return Facts{
		Findings: report.Findings, Watched: p.Endpoints(), Notes: p.Notes,
		Nameservers: resolvconf.Read(c.Resolvers.Files...).Nameservers,
		Proxies:     doctor.Proxies(os.Environ()), WSL: host.WSL(),
	}
}

// Configuration returns the file: what was found here, the keys that are recommended, and every other key as a comment.
func Configuration(f Facts) string {
	var text strings.Builder
	text.WriteString(heading)
	f.found(&text)
	text.WriteString("\n# ---- Recommended for this host\n\n")
	f.recommended(&text)
	text.WriteString(reference)
	text.WriteString(commented(config.Example))
	return text.String()
}

const heading = `# The configuration of netwatchd on this host, written by netwatchd init.
#
#   netwatchd config check    validates it
#   netwatchd config show     prints the resulting configuration
#
# ---- Found on this host
#
`

const reference = `
# ---- Every key, its default, and why
#
# Remove the # before a key, and before what is indented below it, to set it. Each key may appear only once.

`

// comment writes a paragraph as a comment: a label, then text, whose further lines are indented.
func comment(w *strings.Builder, label, text string) {
	const width = 116 - len("# 12345678901234  ")
	for i, line := range strings.Split(ansi.Wordwrap(strings.Join(strings.Fields(text), " "), width, ""), "\n") {
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(w, "# %-14s  %s\n", label, line)
	}
}

func (f Facts) found(w *strings.Builder) {
	platform := f.WSL.Platform()
	if f.WSL.WSL {
		platform += ", networking: " + cmp.Or(f.WSL.Networking, "of Windows") + ", DNS: " + cmp.Or(f.WSL.DNS, "none")
	}
	comment(w, "platform", platform)
	for _, text := range f.Watched {
		comment(w, "watched", text)
	}
	for _, text := range f.Notes {
		comment(w, "not watched", text)
	}
	var servers []string
	for _, server := range f.Nameservers {
		servers = append(servers, server.Addr().String())
	}
	comment(w, "nameservers", cmp.Or(strings.Join(servers, ", "), "none in /etc/resolv.conf"))
	f.proxies(w)
	for _, finding := range f.Findings {
		if slices.Contains(leftOut, finding.Check) {
			continue
		}
		message := finding.Message
		if finding.Outcome > doctor.Note {
			message += "; netwatchd doctor says what to do"
		}
		comment(w, finding.Check, message)
	}
}

// leftOut are the checks of doctor about a daemon and its files, which usually come after the configuration.
var leftOut = []string{"configuration", "permissions", "exposure", "daemon", "status file", "storage", "prometheus",
	"proxy"}

func (f Facts) proxies(w *strings.Builder) {
	if len(f.Proxies) == 0 {
		comment(w, "proxy", "none in this shell")
		return
	}
	var all []string
	for name, value := range f.Proxies {
		all = append(all, name+"="+redact.Named(name, value))
	}
	slices.Sort(all)
	comment(w, "proxy", strings.Join(all, ", ")+" in this shell; a systemd unit does not have the variables of a shell: "+
		"netwatchd doctor compares both once the daemon runs")
}

// recommended writes the recommended keys. The address of the page is always among them: a file without any key is
// refused.
func (f Facts) recommended(w *strings.Builder) {
	line, taken := f.listen()
	if taken != "" {
		fmt.Fprintf(w, "# %s\n", taken)
	} else {
		w.WriteString("# The page, the API and the metrics, for programs on this host only. This is the default.\n")
	}
	w.WriteString(line + "\n")
	if direct := f.direct(); direct != nil {
		w.WriteString("\n# The nameservers in /etc/resolv.conf are compared with public ones of other operators: those that " +
			"this host\n# uses itself would fail together with it.\n")
		fmt.Fprintf(w, "resolvers: {direct: [%s]}\n", strings.Join(direct, ", "))
	}
}

// listen returns the line with the page's address, and why it is not the default one.
func (f Facts) listen() (line, taken string) {
	for _, finding := range f.Findings {
		for _, change := range finding.Fix {
			if change.File != "" && len(change.Lines) == 1 && strings.HasPrefix(change.Lines[0], "web: {listen:") {
				return change.Lines[0], strings.Join(strings.Fields(finding.Message), " ")
			}
		}
	}
	return fmt.Sprintf("web: {listen: [%q]}", config.Builtin().Web.Listen[0]), ""
}

// operators are public resolvers, the defaults first. The first address of each is recommended.
var operators = [][]string{
	{"1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001"},     // Cloudflare
	{"9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9"},                // Quad9
	{"8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"},     // Google
	{"208.67.222.222", "208.67.220.220", "2620:119:35::35", "2620:119:53::53"}, // OpenDNS
}

// direct returns public nameservers of two operators that this host does not use, or nil if the default ones are.
func (f Facts) direct() (servers []string) {
	isUsed := func(operator []string) bool {
		return slices.ContainsFunc(f.Nameservers, func(s netip.AddrPort) bool {
			return slices.Contains(operator, s.Addr().String())
		})
	}
	if !slices.ContainsFunc(operators[:2], isUsed) {
		return nil
	}
	for _, operator := range operators {
		if !isUsed(operator) && len(servers) < 2 {
			servers = append(servers, fmt.Sprintf("%q", operator[0]+":53"))
		}
	}
	return servers
}

// commented returns the example with its keys as comments: "#" directly before a key, "# " before words.
func commented(text string) string {
	var result strings.Builder
	_, text, _ = strings.Cut(text, "\n\n") // the heading is about the file itself
	for line := range strings.Lines(text) {
		if line != "\n" && !strings.HasPrefix(line, "#") {
			line = "#" + line
		}
		result.WriteString(line)
	}
	return result.String()
}
