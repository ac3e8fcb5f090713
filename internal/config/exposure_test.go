package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExposureWarning(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		addresses  string
		exposed    string // empty: no warning
	}{
		{"loopback", "", "127.0.0.1:19405 [::1]:19405 localhost:19405", ""},
		{"an IPv4 address as IPv6", "", "[::ffff:127.0.0.1]:19405", ""},
		{"the LAN", "", "127.0.0.1:19405 192.0.2.1:19405", "192.0.2.1:19405"},
		{"every address", "", ":19405", ":19405"},
		{"every IPv6 address", "", "[::]:19405", "[::]:19405"},
		{"a name", "", "box.example.com:19405", "box.example.com:19405"},
		{"virtual machines", "", "vsock://:19405", "vsock://:19405"},
		{"a socket of systemd", "", "/run/netwatchd.sock", ""},
		{"users", "basic_auth_users: {alice: $2y$10$x}", "192.0.2.1:19405", ""},
		{"no users", "basic_auth_users: {}", "192.0.2.1:19405", "192.0.2.1:19405"},
		{"TLS alone", "tls_server_config: {cert_file: a, key_file: b}", "192.0.2.1:19405", "192.0.2.1:19405"},
		{"client certificates", "tls_server_config: {client_auth_type: RequireAndVerifyClientCert}", "192.0.2.1:19405", ""},
		{"client certificates of anyone", "tls_server_config: {client_auth_type: RequireAnyClientCert}", "192.0.2.1:19405", "192.0.2.1:19405"},
		{"not YAML", "\t{", "192.0.2.1:19405", "192.0.2.1:19405"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w Web
			if tt.file != "" {
				w.ConfigFile = filepath.Join(t.TempDir(), "web.yml")
				if err := os.WriteFile(w.ConfigFile, []byte(tt.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got := w.ExposureWarning(strings.Fields(tt.addresses))
			if (got != "") != (tt.exposed != "") || !strings.Contains(got, "reach "+tt.exposed+" ") && tt.exposed != "" {
				t.Errorf("got %q, want a warning of %q", got, tt.exposed)
			}
		})
	}
}
