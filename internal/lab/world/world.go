// Package world is a small internet for fault injection: a host, its gateway with a resolver, a wire between them, and
// beyond the gateway public resolvers, controls and the agent's service, each in its own address range, IPv4 and IPv6.
//
// The network is real: namespaces and veth pairs, unbound, nginx with TLS by a private authority. Only the service
// behind nginx is a mock. A binary may hold several worlds; each is built once and used by one test at a time.
package world

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/lab/wire"
)

// The addresses are from the ranges that RFC 5737, RFC 2544 and RFC 3849 keep for documentation and benchmarks, so
// nothing here can be anyone's.
const (
	ServiceName = "chatgpt.com"
	ServicePath = "/backend-api/codex/responses"

	HostIPv4, HostIPv6       = "192.0.2.2", "2001:db8:1::2"
	GatewayIPv4, GatewayIPv6 = "192.0.2.1", "2001:db8:1::1"
	ServiceIPv4, ServiceIPv6 = "203.0.113.10", "2001:db8:cd::10"
	SecondIPv4               = "203.0.113.11" // where the service may have a second server
	PrivateIPv4              = "10.1.2.3"     // the service's, where only an inner nameserver knows its name

	Resolver       = GatewayIPv4
	SecondResolver = "192.0.2.53"
	ProxyAddress   = "192.0.2.8:3128"
	PortalAddress  = "192.0.2.66" // where a resolver that rewrites answers points to
)

// DirectResolvers are the public resolvers, of unrelated operators.
var DirectResolvers = []string{"198.18.1.1", "198.19.9.9"}

// A Site is a control: an endpoint whose answer is known.
type Site struct {
	Name, IPv4, IPv6 string
	URL, Expect      string
}

// Controls are unrelated to each other and to the service. The third uses TLS, so that faults of certificates and
// large packets show on a control too.
var Controls = []Site{
	{"alpha.example", "198.51.100.80", "2001:db8:a::80", "http://alpha.example/generate_204", "{status: [204]}"},
	{"beta.example", "198.18.80.80", "2001:db8:b::80", "http://beta.example/success.txt", `{status: [200], body: "^success"}`},
	{"gamma.example", "198.19.80.80", "2001:db8:c::80", "https://gamma.example/generate_204", "{status: [204]}"},
}

// A World is one small internet. Its methods inject a fault for the current test: the fault is in effect when the
// method returns and is removed when the test ends.
type World struct {
	Dir          string
	Host, Beyond *parts.Namespace
	Wire         *wire.Wire
	Mock         *responses.Server // the mock behind the service's nginx
	Env          []string          // of netwatchd, beside what it always has
	Proxy        *Proxy            // see UseProxy
	Agent        *Agent            // see Config

	t                      testing.TB // the current test
	between                *parts.Namespace
	system, second, public *parts.Nameserver
	sites, service         *parts.Server
	authority, stranger    *parts.Authority
	site                   site
	delay                  slowness
	streams                streams
	config                 Config
	tables                 int // number of nftables tables made so far
}

// New builds a world of that name; it lasts until the test ends.
func New(t testing.TB, name string) *World {
	t.Helper()
	parts.Need(t)
	w := &World{Dir: filepath.Join(parts.Dir(), name), t: t, site: usual, Mock: new(responses.Server),
		authority: parts.NewAuthority(t, "World Authority"), stranger: parts.NewAuthority(t, "Office Inspection CA")}
	if err := os.MkdirAll(w.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for to, namespace := range map[string]**parts.Namespace{"host": &w.Host, "wire": &w.between, "beyond": &w.Beyond} {
		var err error
		if *namespace, err = parts.NewNamespace("netwatchd-"+name+"-"+to, to == "host"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup((*namespace).Close)
	}
	w.cable()
	w.furnish()
	w.serve()
	return w
}

// interfaces are the ends of the two cables: host to wire, wire to gateway.
const (
	hostEnd    = "wan0"
	nearEnd    = "near0"
	farEnd     = "far0"
	gatewayEnd = "lan0"
)

// cable connects host and gateway by the wire.
func (w *World) cable() {
	w.t.Helper()
	must := w.must
	must(w.Host.Batch([]string{fmt.Sprintf("link add %s type veth peer name %s netns %d", hostEnd, nearEnd, w.between.PID())}, "ip"))
	must(w.Beyond.Batch([]string{fmt.Sprintf("link add %s type veth peer name %s netns %d", gatewayEnd, farEnd, w.between.PID())}, "ip"))
	for end, in := range map[string]*parts.Namespace{hostEnd: w.Host, nearEnd: w.between, farEnd: w.between, gatewayEnd: w.Beyond} {
		must(in.Run("", parts.Program(w.t, "ethtool", "ethtool"), "-K", end, "tx", "off", "tso", "off", "gso", "off", "gro", "off"))
	}
	// No IPv6 on the wire's own ends: they would send router solicitations.
	must(w.between.Run("", "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"))
	must(w.between.Batch([]string{"link set " + nearEnd + " up", "link set " + farEnd + " up"}, "ip"))
	must(w.Beyond.Batch(beyond(), "ip"))
	must(w.Beyond.UnlimitedICMP())
	w.plug()
	must(w.between.Do(func() (err error) {
		w.Wire, err = wire.New(nearEnd, farEnd, 1)
		return err
	}))
	w.t.Cleanup(w.Wire.Close)
}

// beyond are the addresses beyond the gateway. One namespace is gateway, internet and servers: the host cannot see the
// difference.
func beyond() []string {
	lines := []string{
		"addr add " + GatewayIPv4 + "/24 dev " + gatewayEnd, "addr add " + GatewayIPv6 + "/64 dev " + gatewayEnd + " nodad",
		"addr add " + SecondResolver + "/24 dev " + gatewayEnd, "addr add 192.0.2.8/24 dev " + gatewayEnd,
		"addr add " + PortalAddress + "/24 dev " + gatewayEnd, "link set " + gatewayEnd + " up",
		"addr add " + ServiceIPv4 + "/32 dev lo", "addr add " + SecondIPv4 + "/32 dev lo", "addr add " + ServiceIPv6 + "/128 dev lo nodad",
	}
	for _, site := range Controls {
		lines = append(lines, "addr add "+site.IPv4+"/32 dev lo", "addr add "+site.IPv6+"/128 dev lo nodad")
	}
	for _, address := range DirectResolvers {
		lines = append(lines, "addr add "+address+"/32 dev lo")
	}
	return lines
}

// plug sets up the host's end. It restores what a link that goes down loses: the routes and the IPv6 address.
func (w *World) plug() {
	w.t.Helper()
	w.must(w.Host.Batch([]string{
		"addr replace " + HostIPv4 + "/24 dev " + hostEnd, "link set " + hostEnd + " up",
		"addr replace " + HostIPv6 + "/64 dev " + hostEnd + " nodad",
		"route replace default via " + GatewayIPv4, "-6 route replace default via " + GatewayIPv6,
	}, "ip"))
}

const usualHosts = "127.0.0.1 localhost\n::1 localhost\n"

// furnish mounts an overlay over the host's /etc, so that files can be changed and removed.
func (w *World) furnish() {
	w.t.Helper()
	w.must(w.Host.Run("", "sh", "-ec", `mount -t tmpfs tmpfs /mnt; mkdir /mnt/upper /mnt/work
		mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc`))
	w.write("hosts", usualHosts)
	w.Nameservers(Resolver)
}

// write writes a file of the host's /etc.
func (w *World) write(name, text string) {
	w.t.Helper()
	path := w.Host.Path("/etc/" + name)
	os.Remove(path)
	w.must(os.WriteFile(path, []byte(text), 0o644))
}

func (w *World) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// A Config is how a test's configuration differs from the usual one.
type Config struct {
	Interval, Timeout, Late time.Duration

	Intermittent string // keys of the service's `intermittent`; empty: the defaults

	Owner   string // the service's `owner`; empty: not given
	Agent   string // the version of codex that is installed and run; empty: none
	Sandbox string // the sandbox's `want`; Unsaid: none is given; empty: no sandbox probe
	Routing bool   // what codex requests before every turn is probed, too
	Wrapper string // a shell line that runs "$@" in the sandbox; empty: codex's own sandbox. See Agent.Wrap
}

// Unsaid is a sandbox without `want`: the agent's own configuration counts.
const Unsaid = "unsaid"

// usualConfig has short intervals and timeouts, so that a scene takes seconds. Healthy answers take milliseconds here.
var usualConfig = Config{Interval: 2 * time.Second, Timeout: time.Second}

// Begin lends the world to a test with this configuration.
func (w *World) Begin(t testing.TB, c Config) {
	w.Lend(t)
	w.Env, w.config = nil, usualConfig
	if c.Interval > 0 {
		w.config.Interval = c.Interval
	}
	if c.Timeout > 0 {
		w.config.Timeout = c.Timeout
	}
	w.config.Late, w.config.Agent, w.config.Sandbox, w.config.Wrapper = c.Late, c.Agent, c.Sandbox, c.Wrapper
	w.config.Routing, w.config.Intermittent, w.config.Owner = c.Routing, c.Intermittent, c.Owner
	w.install()
}

// Hold is how long a stream is held idle here: longer than the shortest conntrack timeout, one second.
const Hold = 1500 * time.Millisecond

// pause separates attempts that repeat as often as possible.
const pause = 100 * time.Millisecond

// Lend lends the world as it is to a test. Faults that the test injects are removed when it ends.
func (w *World) Lend(t testing.TB) { w.t = t }

// StatusFile is the path of the daemon's status file.
func (w *World) StatusFile() string { return filepath.Join(w.Dir, "status.json") }

// Storage is the directory of the daemon's store.
func (w *World) Storage() string {
	if w.config.Agent != "" {
		return w.Agent.storage()
	}
	return filepath.Join(w.Dir, "storage")
}

// Netwatchd is netwatchd on the host. It runs without root's right to read any file, as a service does.
func (w *World) Netwatchd() *parts.Netwatchd {
	return &parts.Netwatchd{In: w.Host, Dir: w.Dir,
		Env: append([]string{"SSL_CERT_FILE=" + filepath.Join(w.Dir, "ca.pem")}, w.Env...),
		Via: []string{"setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search", "--"}}
}

// WriteConfig writes the configuration that watches the service here, and returns its path.
func (w *World) WriteConfig() string {
	w.t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "storage: {path: %s}\nstatus_file: %s\n", w.Storage(), w.StatusFile())
	fmt.Fprintf(&text, "defaults: {interval: %v, timeout: %v}\n", w.config.Interval, w.config.Timeout)
	fmt.Fprintf(&text, "resolvers: {direct: [\"%s:53\", \"%s:53\"]}\ncontrols:\n", DirectResolvers[0], DirectResolvers[1])
	for _, site := range Controls {
		fmt.Fprintf(&text, "  - {name: %s, url: %q, expect: %s, addresses: [%q, %q]}\n",
			strings.TrimSuffix(site.Name, ".example"), site.URL, site.Expect, site.IPv4, site.IPv6)
	}
	fmt.Fprintf(&text, `services:
  - name: codex
    late: %v
    intermittent: {%[6]s}
    probes:
      - {name: dns,  kind: dns,  target: %[2]s, types: [A, AAAA]}
      - {name: head, kind: http, target: "https://%[2]s%[3]s", method: HEAD, expect: {status: [405], headers: {Allow: POST}}}
      - {name: stream, kind: stream, target: "wss://%[2]s%[3]s", hold: %[4]v, interval: %[5]v}
`, w.config.Late, ServiceName, ServicePath, Hold, Hold+w.config.Timeout+pause, w.config.Intermittent)
	if w.config.Routing {
		fmt.Fprintf(&text, "      - {name: routing, kind: http, target: \"https://%s/backend-api/wham/accounts/check\", expect: {status: [401]}}\n",
			ServiceName)
	}
	text.WriteString(w.Agent.config())
	if w.config.Owner != "" {
		fmt.Fprintf(&text, "    owner: %s\n", w.config.Owner)
	}
	path := filepath.Join(w.Dir, "config.yaml")
	w.must(os.WriteFile(path, []byte(text.String()), 0o644))
	return path
}

// TimeoutOf is the probes' timeout under a configuration.
func TimeoutOf(c Config) time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return usualConfig.Timeout
}
