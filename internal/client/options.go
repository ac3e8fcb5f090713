package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Options say whom to ask, and how.
type Options struct {
	URL            string // http://127.0.0.1:19405
	User, Password string // for basic auth; empty: none. Those in the URL go first.
	CAFile         string // authorities to trust beside the system's, in PEM
	Certificate    string // the daemon's own, in PEM: it is trusted whatever name it is for
}

// LocalOptions are those for the daemon that listens on address with web configuration file; empty: plain HTTP. What the file
// says of TLS is heeded as far as this user may read it.
func LocalOptions(address, file string) Options {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	o := Options{URL: "http://" + net.JoinHostPort(host, port)}
	text, err := os.ReadFile(file)
	if err != nil {
		return o
	}
	var web struct {
		TLS struct {
			Cert   string `yaml:"cert_file"`
			Inline string `yaml:"cert"`
		} `yaml:"tls_server_config"`
	}
	if yaml.Unmarshal(text, &web) != nil || web.TLS.Cert == "" && web.TLS.Inline == "" {
		return o
	}
	o.URL = "https://" + strings.TrimPrefix(o.URL, "http://")
	o.Certificate = web.TLS.Cert
	if o.Certificate != "" && !filepath.IsAbs(o.Certificate) { // as exporter-toolkit has it
		o.Certificate = filepath.Join(filepath.Dir(file), o.Certificate)
	}
	return o
}

func (o Options) tls() (*tls.Config, error) {
	c := new(tls.Config)
	if o.CAFile != "" {
		text, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, err
		}
		if c.RootCAs, err = x509.SystemCertPool(); err != nil {
			c.RootCAs = x509.NewCertPool()
		}
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: there is no certificate in it", o.CAFile)
		}
	}
	if text, err := os.ReadFile(o.Certificate); err == nil && o.CAFile == "" {
		if block, _ := pem.Decode(text); block != nil {
			// It is asked at its address, which its certificate need not name; so the one it has must be shown.
			c.InsecureSkipVerify = true
			c.VerifyConnection = func(s tls.ConnectionState) error {
				if !bytes.Equal(s.PeerCertificates[0].Raw, block.Bytes) {
					return fmt.Errorf("it shows another certificate than %s holds", o.Certificate)
				}
				return nil
			}
		}
	}
	return c, nil
}

// withHint adds what to do to what the network or TLS says.
func withHint(err error) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w: name the authority with --ca-file", err)
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return errors.New("it does not speak TLS: give --url with http://")
	}
	return err
}
