package httpprobe

import (
	"crypto/ecdsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"netwatchd/internal/probe/connect"
	"netwatchd/internal/probe/probetest"
)

// at is a URL of service.test, and the Reach that leads to addr past every resolver.
func at(t *testing.T, scheme string, addr *net.TCPAddr, path string) (*url.URL, connect.Options) {
	t.Helper()
	u := probetest.MustURL(t, scheme+"://service.test:"+probetest.PortText(addr)+path)
	return u, connect.Options{Address: addr.AddrPort().Addr().Unmap()}
}

// startNginx hands nginx a socket that listens already, as it does to itself when it is upgraded: whoever connects before
// it is up waits in the queue, and nobody has to ask whether it is.
func startNginx(t *testing.T, binary, dir string, cert tls.Certificate) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	key, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"nginx.conf": []byte(strings.ReplaceAll(nginxConfig, "ADDRESS", l.Addr().String())),
		"cert.pem":   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		"key.pem":    pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	nginx := exec.Command(binary, "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	nginx.Env, nginx.ExtraFiles, nginx.Stderr = append(os.Environ(), "NGINX=3;"), []*os.File{socket}, t.Output()
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nginx.Process.Signal(syscall.SIGTERM)
		if err := nginx.Wait(); err != nil {
			t.Errorf("nginx: %v", err)
		}
	})
	return l.Addr().(*net.TCPAddr)
}

// acceptKey proves that a server has read the upgrade: RFC 6455, section 4.2.2.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
