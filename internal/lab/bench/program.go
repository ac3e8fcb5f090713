package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A program is what is measured.
type program interface {
	name() string
	// command returns the command line, after it has written its files into dir. Web is a free address for its pages.
	command(dir string, l load, t *targets, web string) ([]string, error)
	readyPath() string // of its page that answers 200 when it has started; empty: it has none
}

// A driven program makes no request by itself: drive has it make those of the load, until stop is closed.
type driven interface {
	drive(l load, t *targets, web string, stop <-chan struct{})
}

// programs returns all that are to be measured, netwatchd first.
func (o options) programs() []program {
	all := []program{netwatchd{o.netwatchd}, lean{}}
	if path := o.peers[cloudproberName]; path != "" {
		all = append(all, cloudprober{path})
	}
	if path := o.peers[blackboxName]; path != "" {
		all = append(all, blackbox{path})
	}
	return all
}

type netwatchd struct{ path string }

func (netwatchd) name() string      { return "netwatchd" }
func (netwatchd) readyPath() string { return "/-/ready" }

func (p netwatchd) command(dir string, l load, t *targets, web string) ([]string, error) {
	ca := filepath.Join(dir, "ca.pem")
	if l.kind == "https" {
		if err := t.writeCA(ca); err != nil {
			return nil, err
		}
	}
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte(p.config(dir, ca, l, t.port)), 0o600); err != nil {
		return nil, err
	}
	return []string{p.path, "run", "--config.file=" + config, "--web.listen-address=" + web, "--log.level=warn"}, nil
}

// config is what the daemon is to do: the probes of the load, and nothing else.
func (netwatchd) config(dir, ca string, l load, port int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "storage: {path: %s/storage}\nstatus_file: %s/status.json\n", dir, dir)
	fmt.Fprintf(&b, "defaults: {interval: %v, timeout: %v}\n", l.interval, l.interval/2)
	if l.delay > 0 {
		b.WriteString("metrics: {redundant_series: always}\n") // the time of each attempt
	}
	b.WriteString("resolvers: {system: false, files: [], direct: []}\ncontrols: []\nservices:\n")
	for service := range l.services {
		fmt.Fprintf(&b, "  - name: s%d\n    probes:\n", service)
		for i := service; i < l.targets; i += l.services {
			at := l.address(i, port)
			switch l.kind {
			case "dns":
				fmt.Fprintf(&b, "      - {name: p%d, kind: dns, target: %s, types: [A], nameservers: [\"%s\"]}\n",
					i, hostName(i), at)
			case "http":
				fmt.Fprintf(&b, "      - {name: p%d, kind: http, target: \"http://%s/\"}\n", i, at)
			case "https":
				fmt.Fprintf(&b, "      - {name: p%d, kind: http, target: \"https://%s/\", tls: {ca_file: %s, name: %s}}\n",
					i, at, ca, serverName)
			}
		}
	}
	return b.String()
}

const (
	cloudproberName = "cloudprober"
	blackboxName    = "blackbox_exporter"
)

// cloudprober makes all requests by one configuration file. Its DNS probe asks every target for the same name, so that
// the load "dns" measures no deviation of it.
type cloudprober struct{ path string }

func (cloudprober) name() string      { return cloudproberName }
func (cloudprober) readyPath() string { return "/status" }

func (p cloudprober) command(dir string, l load, t *targets, web string) ([]string, error) {
	if l.kind == "https" {
		if err := t.writeCA(filepath.Join(dir, "ca.pem")); err != nil {
			return nil, err
		}
	}
	config := filepath.Join(dir, "cloudprober.cfg")
	_, webPort, _ := strings.Cut(web, ":")
	text := fmt.Sprintf("host: \"127.0.0.1\"\nport: %s\nprobe {\n  name: \"bench\"\n  type: %s\n"+
		"  interval_msec: %d\n  timeout_msec: %d\n  targets {\n", webPort, map[bool]string{true: "DNS", false: "HTTP"}[l.kind == "dns"],
		l.interval.Milliseconds(), l.interval.Milliseconds()/2)
	var b strings.Builder
	b.WriteString(text)
	for i := range l.targets {
		at := l.address(i, t.port)
		fmt.Fprintf(&b, "    endpoint { name: \"t%d\" ip: \"%s\" port: %d }\n", i, at.Addr(), at.Port())
	}
	b.WriteString("  }\n")
	switch l.kind {
	case "dns":
		fmt.Fprintf(&b, "  dns_probe { resolved_domain: \"bench.example.\" query_type: A min_answers: 1 resolve_first: true }\n")
	default:
		fmt.Fprintf(&b, "  http_probe { scheme: %s relative_url: \"/\" resolve_first: true interval_between_targets_msec: 0\n",
			strings.ToUpper(l.kind))
		if l.kind == "https" {
			fmt.Fprintf(&b, "    tls_config { ca_cert_file: \"%s/ca.pem\" server_name: \"%s\" }\n", dir, serverName)
		}
		b.WriteString("  }\n")
	}
	b.WriteString("}\n")
	return []string{p.path, "--config_file=" + config}, os.WriteFile(config, []byte(b.String()), 0o600)
}

// blackbox makes a request each time that its page is asked for.
type blackbox struct{ path string }

func (blackbox) name() string      { return blackboxName }
func (blackbox) readyPath() string { return "/-/healthy" }

func (p blackbox) command(dir string, l load, t *targets, web string) ([]string, error) {
	ca := filepath.Join(dir, "ca.pem")
	module := map[string]string{
		"dns":   "prober: dns, dns: {query_name: bench.example, query_type: A, preferred_ip_protocol: ip4}",
		"http":  "prober: http, http: {preferred_ip_protocol: ip4}",
		"https": "prober: http, http: {preferred_ip_protocol: ip4, tls_config: {ca_file: " + ca + ", server_name: " + serverName + "}}",
	}[l.kind]
	if l.kind == "https" {
		if err := t.writeCA(ca); err != nil {
			return nil, err
		}
	}
	config := filepath.Join(dir, "blackbox.yaml")
	text := fmt.Sprintf("modules: {bench: {timeout: %v, %s}}\n", l.interval/2, module)
	return []string{p.path, "--config.file=" + config, "--web.listen-address=" + web, "--log.level=error"},
		os.WriteFile(config, []byte(text), 0o600)
}

// drivers ask blackbox_exporter's page at the same time: as many as its probes take at ten thousand a second.
const drivers = 64

func (blackbox) drive(l load, t *targets, web string, stop <-chan struct{}) {
	var all sync.WaitGroup
	next := make(chan int)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: drivers}}
	for range drivers {
		all.Go(func() {
			for i := range next {
				target := l.address(i, t.port).String()
				if l.kind != "dns" {
					target = l.kind + "://" + target + "/"
				}
				if response, err := client.Get("http://" + web + "/probe?module=bench&target=" + target); err == nil {
					response.Body.Close()
				}
			}
		})
	}
	begun := time.Now()
	for n := 0; ; n++ {
		time.Sleep(time.Until(begun.Add(time.Duration(n) * l.interval / time.Duration(l.targets))))
		select {
		case next <- n % l.targets:
		case <-stop:
			close(next)
			all.Wait()
			return
		}
	}
}

// lean is this binary, as the leanest program that makes the requests.
type lean struct{}

func (lean) name() string      { return "lean" }
func (lean) readyPath() string { return "" }

func (lean) command(dir string, l load, t *targets, _ string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(leanTask{Kind: l.kind, Targets: l.targets, Servers: l.servers, Interval: l.interval, Port: t.port})
	if err != nil {
		return nil, err
	}
	ca := filepath.Join(dir, "ca.pem")
	return []string{self, leanArgument, string(text), ca}, t.writeCAIfAny(ca)
}

// A run is a program at work.
type run struct {
	program
	dir     string
	web     string
	targets *targets
	begun   time.Time
	cmd     *exec.Cmd
	stop    chan struct{}
	driver  sync.WaitGroup
}

func begin(p program, l load) (*run, error) {
	r := &run{program: p, stop: make(chan struct{})}
	var err error
	if r.dir, err = os.MkdirTemp("", "netwatchd-bench-"); err != nil {
		return nil, err
	}
	if r.web, err = freePort(); err != nil {
		return nil, err
	}
	if r.targets, err = startTargets(l); err != nil {
		return nil, err
	}
	args, err := p.command(r.dir, l, r.targets, r.web)
	if err != nil {
		return nil, err
	}
	r.begun = time.Now()
	if r.cmd, err = start(cores()-1, args[0], args[1:]...); err != nil {
		return nil, err
	}
	if path := p.readyPath(); path != "" {
		if err := await("http://"+r.web+path, r.pid()); err != nil {
			r.end()
			return nil, err
		}
	}
	if d, is := p.(driven); is {
		r.driver.Go(func() { d.drive(l, r.targets, r.web, r.stop) })
	}
	return r, nil
}

func (r *run) pid() int { return r.cmd.Process.Pid }

func (r *run) end() {
	close(r.stop)
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.driver.Wait()
	_ = r.targets.close()
	_ = os.RemoveAll(r.dir)
}
