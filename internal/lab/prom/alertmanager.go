package prom

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
)

// An Alertmanager is a running Alertmanager. Its messages carry its address as externalURL.
type Alertmanager struct {
	Address string // of its API, as Prometheus is told of it
	client  *http.Client
	server  *parts.Server
}

// StartAlertmanagers starts an Alertmanager at each of the IP addresses, on the usual ports, and returns when all of
// them are ready and know each other. They form one cluster. They end with the test; dir is for their data.
func StartAlertmanagers(
	t testing.TB,
	in *parts.Namespace,
	program, config, dir string,
	ips []string,
	flags ...string,
) []*Alertmanager {
	t.Helper()
	var all []*Alertmanager
	for _, ip := range ips {
		a := &Alertmanager{Address: ip + ":9093", client: in.Client()}
		a.server = &parts.Server{In: in, Path: program, Args: append([]string{
			"--config.file=" + config,
			"--storage.path=" + filepath.Join(dir, ip),
			"--web.listen-address=" + a.Address,
			"--web.external-url=http://" + a.Address,
			"--cluster.listen-address=" + ip + ":9094",
			"--cluster.advertise-address=" + ip + ":9094",
		}, flags...)}
		for _, peer := range ips {
			a.server.Args = append(a.server.Args, "--cluster.peer="+peer+":9094")
		}
		all = append(all, a)
	}
	for _, a := range all {
		serve(t, a.server, func() error { return a.Get("/-/ready", nil) })
	}
	for _, a := range all {
		if err := parts.Eventually(startLimit, func() error { return a.settled(len(ips)) }); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// status is an Alertmanager's view of its cluster.
type status struct {
	Cluster struct {
		Name   string
		Status string
		Peers  []struct{ Name string }
	}
}

// Name is its name in the cluster. The first by name notifies first.
func (a *Alertmanager) Name(t testing.TB) string {
	t.Helper()
	var s status
	if err := a.Get("/api/v2/status", &s); err != nil {
		t.Fatal(err)
	}
	return s.Cluster.Name
}

// Metric is the value of one of its own metrics.
func (a *Alertmanager) Metric(series string) (float64, error) {
	answer, err := a.client.Get("http://" + a.Address + "/metrics")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if value, is := strings.CutPrefix(lines.Text(), series+" "); is {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s exports no %s", a.Address, series)
}

// settled returns nil once the Alertmanager has found its peers. Before that it sends no notification, even if it is
// ready, and 0.25 loses them.
func (a *Alertmanager) settled(size int) error {
	var s status
	if err := a.Get("/api/v2/status", &s); err != nil {
		return err
	}
	if c := s.Cluster; c.Status != "ready" || len(c.Peers) != size {
		return fmt.Errorf("%s is %s with %d peers, want %d", a.Address, c.Status, len(c.Peers), size)
	}
	return nil
}

// Get reads JSON from a path of its API into into, unless that is nil.
func (a *Alertmanager) Get(path string, into any) error {
	return answers(a.client, "http://"+a.Address+path, into)
}

// Post sends JSON to a path of its API.
func (a *Alertmanager) Post(path string, what any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	answer, err := a.client.Post("http://"+a.Address+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, answer.Status)
	}
	return nil
}

// A Message is what it sends to a webhook, without unused fields.
type Message struct {
	Receiver    string
	ExternalURL string // of the Alertmanager that speaks
	GroupKey    string
	Alerts      []struct {
		Status      string
		Labels      map[string]string
		Annotations map[string]string
	}
}

// ReadMessage reads a Message, and rejects anything else.
func ReadMessage(w http.ResponseWriter, r *http.Request) (Message, error) {
	var m Message
	err := json.NewDecoder(r.Body).Decode(&m)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return m, err
}

// Kill sends SIGKILL.
func (a *Alertmanager) Kill() { a.server.Stop() }

func answers(client *http.Client, url string, into any) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
