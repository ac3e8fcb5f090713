package doctor

import "fmt"

// restart returns the commands that restart the daemon, by systemd where it runs.
func (e *examination) restart() Change {
	switch {
	case !e.own.unmanaged:
		return run(e.own.command("restart"))
	case e.daemon != nil:
		return run(fmt.Sprintf("kill %d", e.daemon.pid), startByHand)
	}
	return run(startByHand)
}

const startByHand = "netwatchd run # or as it was started before"

// inDaemonsEnvironment returns the changes that set variables, as NAME=VALUE, for the daemon and restart it.
func (e *examination) inDaemonsEnvironment(file string, variables []string) []Change {
	if e.own.unmanaged {
		lines := make([]string, len(variables))
		for i, v := range variables {
			lines[i] = "export " + v
		}
		return []Change{run(append(lines, e.restart().Lines...)...)}
	}
	lines := []string{"[Service]"}
	for _, v := range variables {
		lines = append(lines, "Environment="+v)
	}
	return e.own.dropIn(file, lines...)
}

// setClock returns the command that sets the clock now and keeps it set.
func (e *examination) setClock() Change {
	if e.own.unmanaged {
		return run("chronyd -q 'pool pool.ntp.org iburst' # sets it once; keep chronyd or ntpd running")
	}
	return run("timedatectl set-ntp true")
}

// enableNTP makes a WSL distribution set its clock. systemd-timesyncd does not run in containers by default, and it
// takes WSL for one.
func (e *examination) enableNTP() []Change {
	if e.own.unmanaged {
		return []Change{run("sudo hwclock -s # each time that Windows has slept")}
	}
	return []Change{
		write("/etc/systemd/system/systemd-timesyncd.service.d/wsl.conf", "[Unit]", "ConditionVirtualization="),
		run("systemctl daemon-reload", "systemctl enable --now systemd-timesyncd"),
	}
}

// ownLog returns the command that finds a word in the daemon's log; none if only whoever started it knows where it is.
func (e *examination) ownLog(word string) []string {
	if e.own.unmanaged {
		return nil
	}
	return []string{"journalctl -u " + e.own.name + " -n 100 | grep " + word}
}
