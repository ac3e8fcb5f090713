// Package parts builds test networks: namespaces, servers in them, and an authority that signs their certificates.
//
// A test binary that calls [Main] runs in its own network, mount and process namespaces, which end with it. This needs
// root, or a kernel that allows user namespaces; otherwise [Need] skips the test.
package parts
