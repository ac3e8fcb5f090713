package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"netwatchd/internal/host"
)

// windows runs the checks that only apply under WSL.
func (e *examination) windows(ctx context.Context) []Finding {
	if !e.wsl.WSL {
		return nil
	}
	if e.wsl.Version == 1 {
		return one("wsl", Fault, "this is WSL 1, which has no Linux kernel: systemd units and agent sandboxes do not work",
			run("wsl.exe --set-version "+e.distribution()+" 2 # in Windows"))
	}
	local := e.settings("etc/wsl.conf")
	outside, seen := e.windowsSettings(ctx)
	return []Finding{e.systemd(local), awake(outside, seen), e.networking(outside), e.resolvConf(local)}
}

func (e *examination) distribution() string {
	if name := e.getenv("WSL_DISTRO_NAME"); name != "" {
		return name
	}
	return "DISTRIBUTION"
}

func (e *examination) windowsHint() string {
	if e.wsl.Networking == host.WSLMirrored {
		return "; networking is mirrored, so it may be a Windows program"
	}
	return ""
}

// restart makes WSL read its settings again. It stops every distribution.
var restart = run("wsl.exe --shutdown # in Windows")

// settings are the values of an INI file, by section and key in lower case.
type settings struct {
	file   string
	values map[string]string // "section.key"
}

func (s settings) get(section, key string) string {
	return strings.ToLower(s.values[strings.ToLower(section+"."+key)])
}

func (e *examination) settings(name string) settings {
	text, _ := fs.ReadFile(e.Root, name)
	return settings{"/" + name, readINI(string(text))}
}

// readINI parses the subset of INI that WSL's two files use.
func readINI(text string) map[string]string {
	values := make(map[string]string)
	section := ""
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.ToLower(strings.Trim(line, "[] "))
		} else if key, value, ok := strings.Cut(line, "="); ok {
			values[section+"."+strings.ToLower(strings.TrimSpace(key))] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return values
}

// windowsSettings reads .wslconfig in the profile of the Windows user. It reports false if that drive is not mounted
// or the user cannot be determined.
func (e *examination) windowsSettings(ctx context.Context) (settings, bool) {
	mount := e.settings("etc/wsl.conf").values["automount.root"]
	if mount == "" {
		mount = "/mnt/"
	}
	users := path.Join(strings.Trim(mount, "/"), "c/Users")
	name, ok := e.windowsUser(ctx, users)
	if !ok {
		return settings{file: `%USERPROFILE%\.wslconfig`}, false
	}
	s := e.settings(path.Join(users, name, ".wslconfig"))
	s.file = `C:\Users\` + name + `\.wslconfig`
	return s, true
}

// systemProfiles are the Windows profiles that belong to no person.
var systemProfiles = map[string]bool{"All Users": true, "Default": true, "Default User": true, "Public": true,
	"defaultuser0": true, "WDAGUtilityAccount": true}

// windowsUser asks Windows whose session this is. If Windows programs cannot be started, it returns the only profile.
func (e *examination) windowsUser(ctx context.Context, users string) (string, bool) {
	if e.wsl.Interop {
		cmd := "/" + path.Join(path.Dir(users), "Windows/System32/cmd.exe")
		if out, err := e.Run(ctx, cmd, "/c", "echo %USERPROFILE%"); err == nil {
			profile := strings.ReplaceAll(strings.TrimSpace(out), `\`, "/")
			name := path.Base(profile)
			if strings.EqualFold(path.Dir(profile), "C:/Users") && e.exists(path.Join(users, name)) {
				return name, true
			}
		}
	}
	entries, err := fs.ReadDir(e.Root, users)
	if err != nil {
		return "", false
	}
	var people []string
	for _, entry := range entries {
		if entry.IsDir() && !systemProfiles[entry.Name()] {
			people = append(people, entry.Name())
		}
	}
	if len(people) != 1 {
		return "", false
	}
	return people[0], true
}

func (e *examination) systemd(local settings) Finding {
	const check = "wsl systemd"
	on := local.get("boot", "systemd") == "true"
	switch {
	case e.wsl.Systemd:
		return newFinding(check, OK, "enabled")
	case on:
		return newFinding(check, Fault, "enabled in /etc/wsl.conf, but WSL has not been restarted since", restart)
	}
	return newFinding(check, Fault, "disabled: systemd units cannot run",
		write("/etc/wsl.conf", "[boot]", "systemd=true"), restart)
}

// awake checks that WSL keeps the distribution running. A unit does not: WSL stops the distribution seconds after its
// last window closes, unless its settings say otherwise.
func awake(outside settings, seen bool) Finding {
	const check = "wsl kept awake"
	do := []Change{write(outside.file, "[general]", "instanceIdleTimeout=-1", "[wsl2]", "vmIdleTimeout=-1"), restart}
	switch {
	case !seen:
		return newFinding(check, Unknown, "the Windows settings cannot be read from here; "+
			"by default WSL stops this distribution when its last window closes, even if units run",
			do...)
	case outside.get("general", "instanceIdleTimeout") == "-1" && outside.get("wsl2", "vmIdleTimeout") == "-1":
		return newFinding(check, OK, outside.file+" keeps this distribution running")
	}
	return newFinding(check, Advice,
		"WSL stops this distribution when its last window closes, even if units run: expect gaps in the history",
		do...)
}

func (e *examination) networking(outside settings) Finding {
	const check = "wsl networking"
	wanted := outside.get("wsl2", "networkingMode")
	switch e.wsl.Networking {
	case host.WSLNone:
		return newFinding(check, Fault, "disabled: nothing can be reached",
			write(outside.file, "[wsl2]", "networkingMode=nat"), restart)
	case host.WSLMirrored:
		return newFinding(check, OK, "mirrored: this distribution shares 127.0.0.1 and its ports with Windows")
	case "":
		return newFinding(check, Unknown, "the network interfaces cannot be read")
	}
	if wanted == "mirrored" {
		return newFinding(check, Advice, fmt.Sprintf("%s, but %s sets mirrored: "+
			"WSL has not been restarted since, or it fell back", e.wsl.Networking, outside.file),
			restart)
	}
	mode := e.wsl.Networking
	if wanted != "" {
		mode = wanted
	}
	return newFinding(check, OK, mode+": does not share ports with Windows")
}

func (e *examination) resolvConf(local settings) Finding {
	const check = "wsl names"
	generated := local.get("network", "generateResolvConf") != "false"
	switch r := e.wsl.ResolvConf; {
	case r.Dangling && generated:
		return newFinding(check, Fault, "/etc/resolv.conf links to "+r.Target+", which does not exist",
			run("sudo rm /etc/resolv.conf"), restart)
	case r.Dangling, e.wsl.DNS == "":
		own := write("/etc/resolv.conf", "nameserver 1.1.1.1")
		if generated {
			return newFinding(check, Fault, "/etc/resolv.conf lists no nameserver", run("sudo rm /etc/resolv.conf"), restart)
		}
		return newFinding(check, Fault, "/etc/resolv.conf lists no nameserver, and WSL is configured not to write it",
			run("sudo rm -f /etc/resolv.conf"), own)
	case !generated:
		return newFinding(check, OK, "/etc/resolv.conf is your own, and WSL does not overwrite it")
	case !r.Generated:
		return newFinding(check, Advice, "/etc/resolv.conf is your own, but WSL overwrites it at the next start",
			write("/etc/wsl.conf", "[network]", "generateResolvConf=false"))
	case e.wsl.DNS == "tunnel":
		return newFinding(check, OK, "Windows resolves names through the tunnel at 10.255.255.254 (dnsTunneling)")
	case e.wsl.DNS == "gateway":
		return newFinding(check, OK, "Windows resolves names at the gateway's address (dnsProxy)")
	}
	return newFinding(check, OK, "names are resolved by the nameservers that Windows uses")
}
