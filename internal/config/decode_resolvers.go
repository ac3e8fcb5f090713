package config

import (
	"net/netip"

	"netwatchd/internal/netvalue"
	"netwatchd/internal/strictyaml"
)

func (d *decoder) resolvers(n *strictyaml.Node, rs *Resolvers) {
	f := n.Object("system", "files", "direct")
	f.Boolean("system", &rs.System)
	f.Texts("files", &rs.Files, checkNotEmpty)
	for i, file := range rs.Files {
		rs.Files[i] = resolved(file, d.file)
	}
	decodeServers(f, "direct", &rs.Direct)
}

func decodeServers(f strictyaml.Fields, key string, into *[]netip.AddrPort) {
	strictyaml.Values(f, key, into, netvalue.ParseServer)
}
