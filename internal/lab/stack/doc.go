// Package stack is a small internet for tests: a host with a link, a default route and a resolver, and beyond the link
// two nameservers (unbound), three controls and the agent's service (nginx, TLS by a private authority). Nothing on the
// path is faked: names are looked up through /etc/resolv.conf and the service is reached at chatgpt.com:443.
//
// A test binary that calls [Main] lives inside: its own network, mounts and processes, all gone when it ends, however it
// ends. That takes root, or a kernel that grants user namespaces; where neither is to be had, [Start] skips the test.
package stack
