package main

import (
	"fmt"
	"net/netip"
	"time"
)

// A load is what a program is to do.
type load struct {
	name     string
	kind     string // dns, http, https
	targets  int
	servers  int // dns: the targets' names are asked at that many nameservers; zero: a nameserver each
	services int
	interval time.Duration
	delay    time.Duration // before the target answers
}

func (l load) withDefaults() load {
	if l.services == 0 {
		l.services = max(l.targets/100, 1)
	}
	if l.servers == 0 {
		l.servers = l.targets
	}
	if l.interval == 0 {
		l.interval = time.Second
	}
	return l
}

func (l load) String() string {
	return fmt.Sprintf("%s: %s, %d services, one core", l.name, l.short(), l.services)
}

func (l load) short() string {
	at := fmt.Sprintf("at %d addresses", min(l.servers, l.targets))
	if l.servers == 1 {
		at = "at one address"
	}
	return fmt.Sprintf("%d %s probes every %v %s", l.targets, l.kind, l.interval, at)
}

// address is where target i is: the whole of 127.0.0.0/8 is this host's.
func (l load) address(i, port int) netip.AddrPort { return serverAddress(i%l.servers, port) }

// serverAddress is one of the targets': 127.0.0.1 for 0, 127.0.0.2 for 1.
func serverAddress(i, port int) netip.AddrPort {
	i++
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}), uint16(port))
}

// serverIndex is the inverse of serverAddress.
func serverIndex(addr netip.Addr) int {
	b := addr.Unmap().As4()
	return int(b[1])<<16 + int(b[2])<<8 + int(b[3]) - 1
}

// hostName is what the DNS probes ask for.
func hostName(i int) string { return fmt.Sprintf("host-%d.example", i) }

// serverName is in the certificate of the HTTPS targets.
const serverName = "bench.example"
