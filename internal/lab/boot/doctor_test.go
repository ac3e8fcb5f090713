package boot

import (
	"encoding/json"
	"testing"
)

// doctor is what `netwatchd doctor` finds, as that user, by check.
func (m *machine) doctor(user string) map[string]string {
	m.t.Helper()
	out, errs, _ := m.run("runuser", "-u", user, "--", "netwatchd", "doctor", "--json")
	var report struct {
		Findings []struct{ Check, Outcome, Says string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		m.t.Fatalf("%v\n%s\n%s", err, out, errs)
	}
	found := make(map[string]string)
	for _, f := range report.Findings {
		found[f.Check] = f.Outcome
		m.t.Logf("doctor, as %s: %s is %s: %s", user, f.Check, f.Outcome, f.Says)
	}
	return found
}

// The doctor finds an instance healthy, as its user and as root, and no longer once it is stopped. It does not check
// the machine's clock here, and nothing scrapes.
func TestDoctor(t *testing.T) {
	m := withAgent(t, "0.169.0")
	m.start()
	m.stands("healthy")
	for user, agent := range map[string][]string{"dev": {"codex", "sign-in", "sandbox"}, "root": nil} {
		found := m.doctor(user)
		for _, check := range append(agent, "configuration", "unit", "daemon", "status file", "storage", "proxy") {
			if found[check] != "well" {
				t.Errorf("as %s, %s is %q, want well", user, check, found[check])
			}
		}
	}
	m.must("systemctl", "stop", agentUnit)
	if found := m.doctor("dev"); found["unit"] != "fault" || found["daemon"] != "fault" {
		t.Errorf("the instance is stopped, and the doctor finds %v", found)
	}
}
