package clients

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/miekg/dns"

	"netwatchd/internal/config"
	"netwatchd/internal/plan"
	"netwatchd/internal/watch"
)

// Where netwatchd finds the service, and a nameserver that knows the name.
const (
	webPort       = 8099
	directAddress = "192.0.2.55"
)

// watched are two services at one address: of an agent with musl's resolver, and of a program with glibc's.
const watched = `
defaults: {interval: 1m, timeout: 15s}
resolvers: {direct: ["%[1]s:53"]}
controls:
  - {name: one, url: "http://%[2]s:%[3]d/", expect: {status: [200]}, addresses: ["%[2]s"]}
services:
  - name: musl
    client: musl
    probes:
      - {name: dns, kind: dns, target: %[4]s}
      - {name: web, kind: http, target: "http://%[4]s:%[3]d/", expect: {status: [200]}}
  - name: glibc
    client: glibc
    probes:
      - {name: dns, kind: dns, target: %[4]s}
      - {name: web, kind: http, target: "http://%[4]s:%[3]d/", expect: {status: [200]}}
`

// verdicts makes one full round, and returns the verdict on each service: its cause and title.
func verdicts() (map[string]string, error) {
	if err := serveWeb(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "netwatchd-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(watched, directAddress, service, webPort, serviceName)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	c, err := config.Load(path, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupLimit)
	defer cancel()
	all := make(map[string]string)
	for _, s := range watch.Once(ctx, plan.Of(c).Plan, "test").Services {
		all[s.Service] = s.Cause.String() + ": " + s.Title
	}
	return all, ctx.Err()
}

// serveWeb starts the service's web server, which is the control's too, and the nameserver that knows its name.
func serveWeb() error {
	if err := runAll("ip addr add " + directAddress + "/32 dev lo"); err != nil {
		return err
	}
	web, err := net.Listen("tcp", net.JoinHostPort(service, fmt.Sprint(webPort)))
	if err != nil {
		return err
	}
	go http.Serve(web, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	udp, err := net.ListenPacket("udp", net.JoinHostPort(directAddress, "53"))
	if err != nil {
		return err
	}
	go (&dns.Server{PacketConn: udp, Handler: answering(right)}).ActivateAndServe()
	return nil
}
