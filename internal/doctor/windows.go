package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"netwatchd/internal/host"
)

// windows are the checks that only WSL needs.
func (e *examination) windows(ctx context.Context) []Finding {
	if !e.wsl.WSL {
		return nil
	}
	if e.wsl.Version == 1 {
		return []Finding{{"wsl", Fault, "this is WSL 1: it has no Linux kernel, so neither units nor an agent's sandbox work",
			[]Change{run("wsl.exe --set-version " + e.distribution() + " 2 # in Windows")}}}
	}
	local := e.settings("etc/wsl.conf")
	outside, seen := e.windowsSettings(ctx)
	return []Finding{e.systemd(local), awake(outside, seen), e.networking(outside), e.names(local)}
}

func (e *examination) distribution() string {
	if name := e.getenv("WSL_DISTRO_NAME"); name != "" {
		return name
	}
	return "DISTRIBUTION"
}

func (e *examination) byWindows() string {
	if e.wsl.Networking == host.WSLMirrored {
		return "; networking is mirrored, so it may be a program of Windows"
	}
	return ""
}

// restart is what makes WSL read its settings anew. It ends every distribution.
var restart = run("wsl.exe --shutdown # in Windows")

// settings are those of an INI file, by section and key in lower case.
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

// readINI reads as much of the format as WSL's two files have.
func readINI(text string) map[string]string {
	values := make(map[string]string)
	section := ""
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.ToLower(strings.Trim(line, "[] "))
		} else if key, value, is := strings.Cut(line, "="); is {
			values[section+"."+strings.ToLower(strings.TrimSpace(key))] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return values
}

// windowsSettings reads .wslconfig, which lies in the profile of the Windows user: it is seen only where that drive is mounted
// and it is clear whose profile it is.
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

// nobody are the profiles that are no person's.
var nobody = map[string]bool{"All Users": true, "Default": true, "Default User": true, "Public": true, "defaultuser0": true, "WDAGUtilityAccount": true}

// windowsUser asks Windows whose session this is; where its programs cannot be started, an only profile must be it.
func (e *examination) windowsUser(ctx context.Context, users string) (string, bool) {
	if e.wsl.Interop {
		cmd := "/" + path.Join(path.Dir(users), "Windows/System32/cmd.exe")
		if said, err := e.Run(ctx, cmd, "/c", "echo %USERPROFILE%"); err == nil {
			profile := strings.ReplaceAll(strings.TrimSpace(said), `\`, "/")
			if name := path.Base(profile); strings.EqualFold(path.Dir(profile), "C:/Users") && e.exists(path.Join(users, name)) {
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
		if entry.IsDir() && !nobody[entry.Name()] {
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
		return Finding{check, OK, "it is on", nil}
	case on:
		return Finding{check, Fault, "/etc/wsl.conf has it on, but WSL has not been restarted since", []Change{restart}}
	}
	return Finding{check, Fault, "it is off, so no unit can be started", []Change{write("/etc/wsl.conf", "[boot]", "systemd=true"), restart}}
}

// awake: a unit does not keep a distribution running. WSL stops it seconds after its last window closes, unless told not to.
func awake(outside settings, seen bool) Finding {
	const check = "wsl kept awake"
	do := []Change{write(outside.file, "[general]", "instanceIdleTimeout=-1", "[wsl2]", "vmIdleTimeout=-1"), restart}
	switch {
	case !seen:
		return Finding{check, Unknown, "the settings of Windows cannot be seen from here; unless they say otherwise this distribution stops " +
			"when its last window closes, units or not", do}
	case outside.get("general", "instanceIdleTimeout") == "-1" && outside.get("wsl2", "vmIdleTimeout") == "-1":
		return Finding{check, OK, outside.file + " keeps it running", nil}
	}
	return Finding{check, Advice, "this distribution stops when its last window closes, units or not: expect gaps", do}
}

func (e *examination) networking(outside settings) Finding {
	const check = "wsl networking"
	wanted := outside.get("wsl2", "networkingMode")
	switch e.wsl.Networking {
	case host.WSLNone:
		return Finding{check, Fault, "there is none", []Change{write(outside.file, "[wsl2]", "networkingMode=nat"), restart}}
	case host.WSLMirrored:
		return Finding{check, OK, "mirrored: 127.0.0.1 is shared with Windows, its ports as well", nil}
	case "":
		return Finding{check, Unknown, "the interfaces cannot be seen", nil}
	}
	if wanted == "mirrored" {
		return Finding{check, Advice, fmt.Sprintf("%s, although %s wants mirrored: WSL has not been restarted since, or fell back", e.wsl.Networking, outside.file),
			[]Change{restart}}
	}
	says := e.wsl.Networking
	if wanted != "" {
		says = wanted
	}
	return Finding{check, OK, says + ": seen from inside both look alike, and neither shares ports with Windows", nil}
}

func (e *examination) names(local settings) Finding {
	const check = "wsl names"
	generated := local.get("network", "generateResolvConf") != "false"
	switch r := e.wsl.ResolvConf; {
	case r.Dangling && generated:
		return Finding{check, Fault, "/etc/resolv.conf points to " + r.Target + ", which is not there",
			[]Change{run("sudo rm /etc/resolv.conf"), restart}}
	case r.Dangling, e.wsl.DNS == "":
		own := write("/etc/resolv.conf", "nameserver 1.1.1.1")
		if generated {
			return Finding{check, Fault, "/etc/resolv.conf names nobody to ask", []Change{run("sudo rm /etc/resolv.conf"), restart}}
		}
		return Finding{check, Fault, "/etc/resolv.conf names nobody to ask, and WSL was told to leave it alone", []Change{run("sudo rm -f /etc/resolv.conf"), own}}
	case !generated:
		return Finding{check, OK, "/etc/resolv.conf is your own; WSL leaves it alone", nil}
	case !r.Generated:
		return Finding{check, Advice, "/etc/resolv.conf is your own, and WSL writes it anew at its next start",
			[]Change{write("/etc/wsl.conf", "[network]", "generateResolvConf=false")}}
	case e.wsl.DNS == "tunnel":
		return Finding{check, OK, "Windows resolves them, by the tunnel at 10.255.255.254 (dnsTunneling)", nil}
	case e.wsl.DNS == "gateway":
		return Finding{check, OK, "Windows resolves them, at the gateway's address (dnsProxy)", nil}
	}
	return Finding{check, OK, "they are asked of Windows' own nameservers", nil}
}
