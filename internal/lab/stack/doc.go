// Package stack is a small internet for tests: a host with a link, a default route and a resolver, and beyond the link
// two nameservers (unbound), three controls and the agent's service (nginx, TLS by a private authority). The network
// is real: names are looked up through /etc/resolv.conf and the service is reached at chatgpt.com:443.
//
// A test binary that calls [Main] runs inside, in its own network, mount and process namespaces, which end with it.
// This needs root, or a kernel that allows user namespaces; otherwise [Start] skips the test.
package stack
