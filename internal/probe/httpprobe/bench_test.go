package httpprobe

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
)

// serveVariable makes this test binary a web server in a process of its own, so that its work is not counted as ours. It
// names the file that the authority of its certificate goes to; "-" is plain HTTP.
const serveVariable = "NETWATCHD_TEST_SERVE_HTTP"

func init() {
	if ca := os.Getenv(serveVariable); ca != "" {
		if err := serve(ca); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
}

func serve(ca string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	at := listener.Addr()
	if ca != "-" {
		authority, certificate, err := responses.Authority("service.test")
		if err != nil {
			return err
		}
		if err := os.WriteFile(ca, authority, 0o600); err != nil {
			return err
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate},
			NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true})
	}
	go func() { _ = http.Serve(listener, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) }()
	fmt.Println(at)
	bufio.NewReader(os.Stdin).ReadString('\n') // ends with the benchmark
	return nil
}

func serverProcess(b *testing.B, ca string) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveVariable+"="+ca)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// BenchmarkRequest says what an attempt costs this process, the kernel's work for it included, as cpu-µs/op. Over https
// it is a full handshake, verified by an authority in a file.
func BenchmarkRequest(b *testing.B) {
	b.Run("http", func(b *testing.B) { benchmarkRequest(b, "http", "-", connect.Options{}) })
	b.Run("https", func(b *testing.B) {
		ca := filepath.Join(b.TempDir(), "ca.pem")
		benchmarkRequest(b, "https", ca, connect.Options{CAFile: ca})
	})
}

func benchmarkRequest(b *testing.B, scheme, ca string, options connect.Options) {
	u := &url.URL{Scheme: scheme, Host: serverProcess(b, ca), Path: "/"}
	p := &probe.Probe{Spec: probe.Spec{Timeout: time.Minute}, Prober: &Request{URL: u, Options: options}}
	b.ReportAllocs()
	room := make(chan struct{}, 4) // in flight at a time
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for b.Loop() {
		room <- struct{}{}
		go func() {
			if r, _ := probe.Do(b.Context(), p); !r.OK() {
				b.Error(r.Why)
			}
			<-room
		}()
	}
	for range cap(room) {
		room <- struct{}{}
	}
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(spent)/1e3/float64(b.N), "cpu-µs/op")
}
