package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"netwatchd/internal/lab/parts"
)

// The addresses are those that RFC 5737 and RFC 3849 keep for documentation, so nothing here can be anyone's.
const (
	HostAddress    = "203.0.113.2"
	ServiceAddress = "203.0.113.10"
	SystemResolver = "203.0.113.53"
	DirectResolver = "203.0.113.54"

	gateway       = "203.0.113.1"
	serviceIPv6   = "2001:db8::10"
	hostInterface = "wan0"
	farInterface  = "far0"
)

// host is the namespace of the tests.
var host *parts.Namespace

// far is the network beyond the link.
var far *parts.Namespace

// Main is a TestMain. It builds netwatchd, enters a new network and runs the tests there.
func Main(m *testing.M) { parts.Main(m, furnish) }

// furnish sets up the empty namespaces as a host on a network.
func furnish(dir string) error {
	resolvConf := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(resolvConf, []byte("nameserver "+SystemResolver+"\n"), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(resolvConf, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("replacing /etc/resolv.conf: %w", err)
	}
	var err error
	if far, err = parts.NewNamespace("netwatchd-stack-far", false); err != nil {
		return err
	}
	return link()
}

// link joins the two networks.
func link() error {
	here := []string{
		"link set lo up",
		fmt.Sprintf("link add %s type veth peer name %s netns %d", hostInterface, farInterface, far.PID()),
	}
	here = append(here, hostSide...)
	there := []string{
		"addr add " + gateway + "/24 dev " + farInterface,
		"addr add 2001:db8::1/64 dev " + farInterface + " nodad",
		"addr add " + SystemResolver + "/24 dev " + farInterface,
		"addr add " + DirectResolver + "/24 dev " + farInterface,
		"addr add " + ServiceAddress + "/24 dev " + farInterface,
		"addr add " + serviceIPv6 + "/64 dev " + farInterface + " nodad",
		"link set " + farInterface + " up",
	}
	for _, control := range controls {
		there = append(there, "addr add "+control.address+"/24 dev "+farInterface)
	}
	if err := host.Batch(here[:2], "ip"); err != nil {
		return err
	}
	if err := far.Batch(there, "ip"); err != nil {
		return err
	}
	if err := host.Batch(here[2:], "ip"); err != nil {
		return err
	}
	return far.UnlimitedICMP()
}

// hostSide sets up the host's end of the link. A link that goes down loses the routes and the IPv6 address.
var hostSide = []string{
	"addr replace " + HostAddress + "/24 dev " + hostInterface,
	"link set " + hostInterface + " up",
	"addr replace 2001:db8::2/64 dev " + hostInterface + " nodad",
	"route replace default via " + gateway,
	"-6 route replace default via 2001:db8::1",
}
