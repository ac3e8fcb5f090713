package boot

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/prom"
)

var phone = flag.Bool("phone", false, "run the README's commands for alerts on a phone, in real time: ten minutes")

// The README's commands, on a Debian with its own Prometheus and Alertmanager, lead from an outage to a message at
// ntfy.sh.
func TestPhone(t *testing.T) {
	if !*phone {
		t.Skip("not asked for: make e2e-full")
	}
	m := bootFrom(t, "rootfs-prometheus")
	app := m.ntfy()
	m.must("sh", "-ec", m.readme())
	m.configure() // what is watched is here
	m.must("systemctl", "restart", unit)
	m.stands("healthy")
	for name, address := range map[string]string{"prometheus": "127.0.0.1:9090", "prometheus-alertmanager": "127.0.0.1:9093"} {
		m.await(func() error {
			answer, err := http.Get("http://" + address + "/-/ready")
			if err != nil {
				return fmt.Errorf("%w\n%s", err, m.journal(name))
			}
			return answer.Body.Close()
		})
	}

	table := parts.Table(t, "phone")
	m.ServiceAnswers(http.StatusServiceUnavailable)
	fmt.Fprintf(table, "phone: fault to message: %.0f s\n", app.await(t, "NetwatchdUpstreamOutage firing").Seconds())
	m.ServiceAnswers(http.StatusMethodNotAllowed, "Allow: POST")
	fmt.Fprintf(table, "phone: repair to message: %.0f s\n", app.await(t, "NetwatchdUpstreamOutage resolved").Seconds())
	if got, want := app.messages(), []string{"NetwatchdUpstreamOutage firing", "NetwatchdUpstreamOutage resolved"}; !slices.Equal(got, want) {
		t.Errorf("the phone was told %q, want %q", got, want)
	}
}

// readme are the README's three commands, run as root with a package built elsewhere.
func (m *machine) readme() string {
	_, text, _ := strings.Cut(read(m.t, "../../../README.md"), "\n## Alerts on your phone\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var commands []string
	for line := range strings.Lines(text) {
		if command, is := strings.CutPrefix(line, "    "); is {
			commands = append(commands, command)
		}
	}
	if len(commands) != 3 {
		m.t.Fatalf("the README has %d commands, want three: %q", len(commands), commands)
	}
	return strings.NewReplacer("make dist && ", "", "./dist/netwatchd_*", "/packages/netwatchd_"+older+"-1_*", "sudo ", "",
		"apt install", "apt-get install --yes").Replace(strings.Join(commands, ""))
}

// An app stands in for ntfy.sh.
type app struct {
	mu   sync.Mutex
	said []string
}

// ntfy makes ntfy.sh an address of this machine, whose certificate it trusts.
func (m *machine) ntfy() *app {
	m.t.Helper()
	const address = "127.0.0.77"
	m.write("/etc/hosts", "127.0.0.1 localhost\n"+address+" ntfy.sh\n")
	m.write("/usr/local/share/ca-certificates/stack.crt", read(m.t, filepath.Join(m.Dir, "ca.pem")))
	m.must("update-ca-certificates")
	stem := filepath.Join(m.t.TempDir(), "ntfy")
	m.Certify(stem, "ntfy.sh")
	listener, err := net.Listen("tcp", address+":443")
	if err != nil {
		m.t.Fatal(err)
	}
	a := new(app)
	server := &http.Server{Handler: a}
	go server.ServeTLS(listener, stem+".pem", stem+".key")
	m.t.Cleanup(func() { server.Close() })
	return a
}

// ServeHTTP takes what Alertmanager sends to a topic, as ntfy's template for it does.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.RequestURI != "/MY-TOPIC?template=alertmanager" {
		http.Error(w, r.Method+" "+r.RequestURI, http.StatusBadRequest)
		return
	}
	message, err := prom.ReadMessage(w, r)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, alert := range message.Alerts {
		a.said = append(a.said, alert.Labels["alertname"]+" "+alert.Status)
	}
}

func (a *app) messages() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.said)
}

// await waits for a message, and returns how long.
func (a *app) await(t *testing.T, text string) time.Duration {
	t.Helper()
	begun := time.Now()
	err := parts.Eventually(10*time.Minute, func() error { // twice the bound of docs/alerting.md
		if said := a.messages(); !slices.Contains(said, text) {
			return fmt.Errorf("the phone was not told %q, but %q", text, said)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return time.Since(begun)
}
