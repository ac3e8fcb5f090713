package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"netwatchd/internal/webtoken"
)

// Authenticated reports whether the web configuration requires users, or client certificates of a known CA. It reads
// the file, which may change while the daemon runs.
func (w Web) Authenticated() bool {
	if w.ConfigFile == "" {
		return false
	}
	text, err := os.ReadFile(w.ConfigFile)
	if err != nil {
		return false
	}
	var file struct {
		Users map[string]string `yaml:"basic_auth_users"`
		TLS   struct {
			ClientAuth string `yaml:"client_auth_type"`
		} `yaml:"tls_server_config"`
	}
	return yaml.Unmarshal(text, &file) == nil &&
		(len(file.Users) > 0 || file.TLS.ClientAuth == "RequireAndVerifyClientCert")
}

// ExposureWarning says that others can reach one of the addresses without authentication, and what to do; it is empty
// if nobody can.
func (w Web) ExposureWarning(addresses []string) string {
	exposed := Exposed(addresses)
	if len(exposed) == 0 || w.Authenticated() {
		return ""
	}
	return fmt.Sprintf(
		"everyone who can reach %s can read the page, the API and the metrics: there is no authentication. "+
			"Set basic_auth_users in web.config_file, or listen on 127.0.0.1",
		strings.Join(exposed, ", "),
	)
}

// Exposed returns the addresses that other hosts may reach.
func Exposed(addresses []string) []string {
	return slices.DeleteFunc(slices.Clone(addresses), isLoopback)
}

// TokenFile returns the file with the token for requests that change something and come from other hosts: the
// configured one, or the one that the daemon makes beside its store.
func (c *Config) TokenFile() string {
	return cmp.Or(c.Web.TokenFile, filepath.Join(c.Storage.Path, webtoken.Name))
}

// isLoopback reports whether only this host can reach an address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return !strings.HasPrefix(address, "vsock://") // a unix socket, by its path
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
