package forms

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
)

// The services are at addresses that RFC 5737 and RFC 3849 keep for documentation.
const (
	resolver     = "192.0.2.1"
	proxyAddress = "192.0.2.8:3128"
	hostIPv4     = "192.0.2.2"

	chatGPT = "chatgpt.com"
	api     = "api.openai.com"
	signIn  = "auth.openai.com" // where codex renews a sign-in
	custom  = "models.mine.example"
	azure   = "mine.openai.azure.com"
	gateway = "gateway.mine.example"

	anthropic = "api.anthropic.com"

	ollamaAddress = "127.0.0.1:11434"
)

// addresses are those of every name here. The controls and the public resolvers are those that netwatchd uses without
// a configuration, at their real addresses where netwatchd knows them.
var addresses = map[string][2]string{
	chatGPT: {"203.0.113.10", "2001:db8:cd::10"},
	api:     {"203.0.113.11", "2001:db8:cd::11"},
	signIn:  {"203.0.113.12", "2001:db8:cd::12"},
	custom:  {"203.0.113.13", "2001:db8:cd::13"},
	azure:   {"203.0.113.14", "2001:db8:cd::14"},
	gateway: {"203.0.113.15", "2001:db8:cd::15"},

	anthropic: {"203.0.113.16", "2001:db8:cd::16"},

	gitHubAPI:         {"203.0.113.17", "2001:db8:cd::17"},
	copilotAPI:        {"203.0.113.18", "2001:db8:cd::18"},
	copilotIndividual: {"203.0.113.19", "2001:db8:cd::19"},

	"connectivitycheck.gstatic.com": {"198.51.100.1", "2001:db8:a::1"},
	"www.msftconnecttest.com":       {"198.51.100.2", "2001:db8:a::2"},
	"one.one.one.one":               {"1.1.1.1", "2606:4700:4700::1111"},
	"dns.google":                    {"8.8.8.8", "2001:4860:4860::8888"},
	"dns.quad9.net":                 {"9.9.9.9", "2620:fe::fe"},
}

// publicResolvers are those that netwatchd compares with by default.
var publicResolvers = []string{"1.1.1.1", "9.9.9.9"}

// services are the names behind which the mock of the agents' services answers.
var services = []string{chatGPT, api, signIn, custom, azure, gateway, anthropic, gitHubAPI, copilotAPI, copilotIndividual}

// An internet is a host and the network beyond it: a resolver, a proxy, public resolvers, the default controls and the
// services. The servers are goroutines of the test on sockets of the other namespace. It lasts until the test ends.
type internet struct {
	t            *testing.T
	name         string
	host, beyond *parts.Namespace
	dir          string // for files of the test

	mock      responses.Server
	authority *parts.Authority // trusted by the host's system
	office    *parts.Authority // that of a TLS inspection which codex is told of
	stranger  *parts.Authority // that of one which nobody trusts
	answer    atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	missing   sync.Map // names that the host's resolver says do not exist
	signedBy  sync.Map // name of a service: the authority of its certificate, if not the usual one
	closers   map[string]func()
	tables    int

	mu   sync.Mutex
	seen []request
}

// A request is one that a service got.
type request struct {
	Method, URL string // the URL has no parameters
	Proxied     bool
	text        string // headers, URL and body
}

var built atomic.Int32

func newInternet(t *testing.T) *internet {
	t.Helper()
	parts.Need(t)
	n := &internet{t: t, name: fmt.Sprintf("forms%d", built.Add(1)), closers: make(map[string]func()),
		authority: parts.NewAuthority(t, "Internet Authority"), office: parts.NewAuthority(t, "Office Inspection CA"),
		stranger: parts.NewAuthority(t, "Hotel Inspection CA")}
	n.dir = filepath.Join(parts.Dir(), n.name)
	n.must(os.MkdirAll(n.dir, 0o755))
	for to, namespace := range map[string]**parts.Namespace{"host": &n.host, "beyond": &n.beyond} {
		var err error
		*namespace, err = parts.NewNamespace("netwatchd-"+n.name+"-"+to, to == "host")
		n.must(err)
		t.Cleanup((*namespace).Close)
	}
	n.cable()
	n.furnish()
	n.serveNames()
	n.serveWeb()
	n.serveProxy()
	t.Cleanup(func() {
		for _, closes := range n.closers {
			closes()
		}
	})
	return n
}

func (n *internet) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// cable connects the host with the network beyond, which has every other address.
func (n *internet) cable() {
	n.t.Helper()
	var far strings.Builder
	fmt.Fprintf(&far, "link set lan0 up\naddr add %s/24 dev lan0\naddr add 192.0.2.8/24 dev lan0\n"+
		"addr add 2001:db8:1::1/64 dev lan0 nodad\n", resolver)
	for _, address := range addresses {
		fmt.Fprintf(&far, "addr add %s/32 dev lo\naddr add %s/128 dev lo nodad\n", address[0], address[1])
	}
	n.must(n.host.Run(fmt.Sprintf("link add wan0 type veth peer name lan0 netns %d\n", n.beyond.PID()), "ip", "-batch", "-"))
	n.must(n.beyond.Run(far.String(), "ip", "-batch", "-"))
	n.must(n.beyond.UnlimitedICMP())
	n.must(n.host.Run(fmt.Sprintf("addr add %s/24 dev wan0\naddr add 2001:db8:1::2/64 dev wan0 nodad\nlink set wan0 up\n"+
		"route add default via %s\nroute add default via 2001:db8:1::1\n", hostIPv4, resolver), "ip", "-batch", "-"))
}

// userHome is the home directory of the user of codex. It is on a file system of its own outside $TMPDIR, where codex's
// sandbox refuses to have a CODEX_HOME.
const userHome = "/var/lib/user"

// furnish gives the host files of its own: no configuration of netwatchd, a resolv.conf, and a system that trusts the
// internet's authority.
func (n *internet) furnish() {
	n.t.Helper()
	n.must(n.host.Run("", "sh", "-ec", `mount -t tmpfs tmpfs /mnt; mkdir /mnt/upper /mnt/work
		mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc
		rm -rf /etc/netwatchd /etc/codex /etc/resolv.conf
		mount -t tmpfs tmpfs /var/lib; mkdir -p `+userHome+`/.codex
		mount -t tmpfs tmpfs /run`))
	n.write("/etc/hosts", "127.0.0.1 localhost\n")
	n.write("/etc/resolv.conf", "nameserver "+resolver+"\n")
	n.authority.Write(filepath.Join(n.dir, "ca.pem"))
	ca, err := os.ReadFile(filepath.Join(n.dir, "ca.pem"))
	n.must(err)
	n.write("/etc/ssl/certs/ca-certificates.crt", string(ca))
}

// write writes a file of the host. It follows no link: one in the host's /etc may lead to a file of this machine.
func (n *internet) write(path, text string) {
	n.t.Helper()
	root, err := os.OpenRoot(n.host.Path("/"))
	n.must(err)
	defer root.Close()
	path = strings.TrimPrefix(path, "/")
	n.must(root.MkdirAll(filepath.Dir(path), 0o755))
	root.Remove(path)
	n.must(root.WriteFile(path, []byte(text), 0o600))
}

// serveNames starts the host's resolver and the public ones.
func (n *internet) serveNames() {
	n.t.Helper()
	for _, address := range append([]string{resolver}, publicResolvers...) {
		handler := dns.HandlerFunc(func(rw dns.ResponseWriter, question *dns.Msg) {
			rw.WriteMsg(n.lookUp(question, address == resolver))
		})
		var packets net.PacketConn
		var conns net.Listener
		n.must(n.beyond.Do(func() (err error) {
			if packets, err = net.ListenPacket("udp", address+":53"); err != nil {
				return err
			}
			conns, err = net.Listen("tcp", address+":53")
			return err
		}))
		var servers []*dns.Server
		for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: conns, Handler: handler}} {
			started := make(chan struct{})
			server.NotifyStartedFunc = func() { close(started) }
			go server.ActivateAndServe()
			<-started
			servers = append(servers, server)
		}
		n.closers["dns "+address] = func() {
			for _, server := range servers {
				server.Shutdown()
			}
		}
	}
}

func (n *internet) lookUp(question *dns.Msg, byHost bool) *dns.Msg {
	answer := new(dns.Msg).SetReply(question)
	q := question.Question[0]
	name := strings.TrimSuffix(dns.CanonicalName(q.Name), ".")
	address, known := addresses[name]
	_, missing := n.missing.Load(name)
	switch {
	case !known || missing && byHost:
		answer.Rcode = dns.RcodeNameError
	case q.Qtype == dns.TypeA:
		answer.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: q.Qclass, Ttl: 60},
			A: net.ParseIP(address[0])}}
	case q.Qtype == dns.TypeAAAA:
		answer.Answer = []dns.RR{&dns.AAAA{Hdr: dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: q.Qclass, Ttl: 60},
			AAAA: net.ParseIP(address[1])}}
	}
	return answer
}

// serveWeb serves the controls and the services, plain at port 80 and with TLS at port 443.
func (n *internet) serveWeb() {
	n.t.Helper()
	certificates := make(map[*parts.Authority]*tls.Certificate)
	for i, signer := range []*parts.Authority{n.authority, n.office, n.stranger} {
		stem := filepath.Join(n.dir, fmt.Sprint("certificate", i))
		signer.Issue(stem, parts.Valid, slices.Sorted(maps.Keys(addresses))...)
		certificate, err := tls.LoadX509KeyPair(stem+".pem", stem+".key")
		n.must(err)
		certificates[signer] = &certificate
	}
	handler := http.HandlerFunc(n.answerWeb)
	n.serve("http", ":80", n.beyond, &http.Server{Handler: handler}, false)
	n.serve("https", ":443", n.beyond, &http.Server{Handler: handler, TLSConfig: &tls.Config{
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if signer, ok := n.signedBy.Load(hello.ServerName); ok {
				return certificates[signer.(*parts.Authority)], nil
			}
			return certificates[n.authority], nil
		}}}, true)
}

func (n *internet) serve(name, address string, in *parts.Namespace, server *http.Server, secure bool) {
	n.t.Helper()
	server.ErrorLog = log.New(io.Discard, "", 0) // a client that does not trust a certificate is what some faults are about
	listener, err := in.Listen("tcp", address)
	n.must(err)
	if secure {
		go server.ServeTLS(listener, "", "")
	} else {
		go server.Serve(listener)
	}
	n.closers[name] = func() { server.Close() }
}

func (n *internet) answerWeb(rw http.ResponseWriter, r *http.Request) {
	name := r.Host
	if slices.Contains(services, name) {
		n.serveService(rw, r)
		return
	}
	switch name {
	case "connectivitycheck.gstatic.com":
		rw.WriteHeader(http.StatusNoContent)
	case "www.msftconnecttest.com":
		io.WriteString(rw, "Microsoft Connect Test")
	case "one.one.one.one":
		rw.Header().Set("Server", "cloudflare")
		http.Redirect(rw, r, "https://one.one.one.one/", http.StatusMovedPermanently)
	case "dns.google":
		io.WriteString(rw, `{"Status": 0}`)
	case "dns.quad9.net":
		rw.Header().Set("Content-Type", "application/dns-message")
		io.WriteString(rw, "\x00\x00\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01")
	default:
		http.NotFound(rw, r)
	}
}

// serveService records the request and answers it as the fault wants, or else as the mock does. Outside of ChatGPT a
// request without credentials gets 401, whatever its method.
func (n *internet) serveService(rw http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	var header strings.Builder
	r.Header.Write(&header)
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	n.mu.Lock()
	n.seen = append(n.seen, request{Method: r.Method, URL: scheme + "://" + r.Host + r.URL.Path,
		Proxied: from != hostIPv4 && from != "2001:db8:1::2" && from != "127.0.0.1",
		text:    r.URL.String() + "\n" + header.String() + "\n" + string(body)})
	n.mu.Unlock()
	if answer := n.answer.Load(); answer != nil && (*answer)(rw, r) {
		return
	}
	if r.Host != chatGPT && r.Host != signIn && r.Host != ollamaAddress && r.Host != "localhost:11434" &&
		r.URL.Path != "/api/hello" && r.Header.Get("Authorization")+r.Header.Get("X-Api-Key") == "" {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusUnauthorized)
		io.WriteString(rw, `{"error":{"message":"Missing bearer or basic authentication in header","code":null}}`)
		return
	}
	n.mock.ServeHTTP(rw, r)
}

// requests returns what the services got since the last call.
func (n *internet) requests() []request {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.seen
	n.seen = nil
	return all
}

// serveOllama starts a server for models on the host itself.
func (n *internet) serveOllama() {
	n.t.Helper()
	n.serve("ollama", ollamaAddress, n.host, &http.Server{Handler: http.HandlerFunc(n.serveService)}, false)
}

// serveProxy starts a forward proxy in the host's network.
func (n *internet) serveProxy() {
	n.t.Helper()
	n.serve("proxy", proxyAddress, n.beyond, &http.Server{Handler: http.HandlerFunc(n.forward)}, false)
}

func (n *internet) forward(rw http.ResponseWriter, r *http.Request) {
	name, port, _ := net.SplitHostPort(r.Host)
	address, known := addresses[name]
	if r.Method != http.MethodConnect || !known {
		http.Error(rw, "no such host", http.StatusBadGateway)
		return
	}
	var there net.Conn
	err := n.beyond.Do(func() (err error) {
		dialer := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP("192.0.2.8")}}
		there, err = dialer.DialContext(context.Background(), "tcp", net.JoinHostPort(address[0], port))
		return err
	})
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, buffered, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { io.Copy(there, buffered); there.Close() }()
	io.Copy(here, there)
}

// stop closes a server's ports.
func (n *internet) stop(server string) { n.closers[server]() }

// filter adds rules for packets from the host: "ip daddr 203.0.113.10 drop".
func (n *internet) filter(rules ...string) {
	n.t.Helper()
	n.tables++
	var script strings.Builder
	fmt.Fprintf(&script, "add table inet fault%d\nadd chain inet fault%[1]d fault { type filter hook input priority 0; }\n", n.tables)
	for _, rule := range rules {
		fmt.Fprintf(&script, "add rule inet fault%d fault %s\n", n.tables, rule)
	}
	n.must(n.beyond.NFT(script.String()))
}
