// Package parts is what test networks are made of: namespaces, servers run in them, and an authority that signs their
// certificates.
//
// A test binary that calls [Main] lives in a network, mounts and processes of its own, all gone when it ends, however it
// ends. That takes root, or a kernel that grants user namespaces; where neither is to be had, [Need] skips the test.
package parts
