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

// Options configure a Client.
type Options struct {
	URL            string // http://127.0.0.1:19405
	User, Password string // for basic auth; empty: none. Those in the URL take precedence.
	CAFile         string // a PEM file of CAs to trust besides the system's
	Certificate    string // a PEM file with the daemon's certificate: trusted whatever name it has
	TokenFile      string // a file with the token for requests that change something; empty: none
}

// LocalOptions returns the options for the daemon that listens on address with web configuration file; empty: plain
// HTTP. TLS settings are taken from the file, as far as this user can read it.
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
	if o.Certificate != "" && !filepath.IsAbs(o.Certificate) { // as in exporter-toolkit
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
			return nil, fmt.Errorf("%s contains no certificate", o.CAFile)
		}
	}
	if text, err := os.ReadFile(o.Certificate); err == nil && o.CAFile == "" {
		if block, _ := pem.Decode(text); block != nil {
			// We connect to its address, which the certificate need not name. So it must present exactly this one.
			c.InsecureSkipVerify = true
			c.VerifyConnection = func(s tls.ConnectionState) error {
				if !bytes.Equal(s.PeerCertificates[0].Raw, block.Bytes) {
					return fmt.Errorf("it presents a different certificate than the one in %s", o.Certificate)
				}
				return nil
			}
		}
	}
	return c, nil
}

// withHint adds what to do to a network or TLS error.
func withHint(err error) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w: set --ca-file to the CA's certificate", err)
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return errors.New("it does not use TLS: set --url to an http:// address")
	}
	return err
}
