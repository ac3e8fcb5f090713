package push

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"

	"netwatchd/internal/config"
	"netwatchd/internal/redact"
)

// secrets of a receiver, as a user would configure them. None looks like a secret.
const (
	bearerSecret = "correct horse battery"
	basicSecret  = "hunter2"
	headerSecret = "plain-words-only"
	urlSecret    = "staple"
)

// mustNotLeak fails if text has one of the secrets, in any form.
func mustNotLeak(t *testing.T, what, text string) {
	t.Helper()
	for _, secret := range []string{bearerSecret, basicSecret, headerSecret, urlSecret} {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte("desk:" + secret)), base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(text, form) {
				t.Errorf("%s leaks %q: %s", what, form, text)
			}
		}
	}
}

// leakyReceivers are receivers with each kind of credentials.
func leakyReceivers(t *testing.T, url string) map[string]config.Receiver {
	t.Helper()
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	all := make(map[string]config.Receiver)
	for name, set := range map[string]func(*config.Receiver){
		"bearer": func(r *config.Receiver) { r.Credentials = config.Credentials{File: file(bearerSecret)} },
		"basic": func(r *config.Receiver) {
			r.Credentials = config.Credentials{Username: "desk", File: file(basicSecret)}
		},
		"header": func(r *config.Receiver) {
			r.KeyHeaders = []config.KeyHeader{{Name: "X-Api-Key", Credentials: config.Credentials{File: file(headerSecret)}}}
		},
		"URL": func(r *config.Receiver) { r.URL += "?token=" + urlSecret },
	} {
		r := receiverAt(url)
		set(&r)
		all[name] = r
	}
	return all
}

// echo is a receiver that answers with what it was sent, in several forms. Proxies and debug endpoints do.
func echo(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		headers, _ := json.Marshal(r.Header)
		text := fmt.Sprintf("%s %s\n%v\n%s\n%s", r.Method, r.URL, r.Header, headers, base64.StdEncoding.EncodeToString(headers))
		if status == http.StatusOK { // a collector that rejected some points
			body, _ := proto.Marshal(&collectorpb.ExportMetricsServiceResponse{PartialSuccess: &collectorpb.ExportMetricsPartialSuccess{
				RejectedDataPoints: 1, ErrorMessage: text}})
			w.Write(body)
			return
		}
		w.WriteHeader(status)
		io.WriteString(w, text)
	}
}

func senders(c config.Receiver, o Options) map[string]sender {
	v1 := c
	v1.Protocol = config.RemoteWrite1
	return map[string]sender{"remote write 2.0": newRemoteWrite(c, o), "remote write 1.0": newRemoteWrite(v1, o), "OTLP": newOTLP(c, o)}
}

// A receiver that repeats the request does not get its secrets into an error, whatever logs it.
func TestEchoedSecretsAreRemoved(t *testing.T) {
	for _, status := range []int{200, 400, 401, 429, 500, 503} {
		server := httptest.NewServer(echo(status))
		defer server.Close()
		for kind, c := range leakyReceivers(t, server.URL+"/write") {
			for protocol, s := range senders(c, options(t)) {
				_, err := s.send(t.Context(), up(noon))
				if err == nil {
					if status != 200 {
						t.Errorf("%d, %s: no error", status, protocol)
					}
					continue
				}
				mustNotLeak(t, fmt.Sprintf("%d to %s by %s", status, kind, protocol), err.Error())
			}
		}
	}
}

// statusLine is a receiver that repeats a secret in its status line, which a client takes for its own text.
func statusLine(t *testing.T, secret string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 64<<10))
			fmt.Fprintf(conn, "HTTP/1.1 500 you said %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", secret)
			conn.Close()
		}
	}()
	return "http://" + l.Addr().String() + "/write"
}

func TestSecretsInAStatusLine(t *testing.T) {
	for kind, secret := range map[string]string{"bearer": bearerSecret, "basic": basicSecret, "header": headerSecret} {
		c := leakyReceivers(t, statusLine(t, secret))[kind]
		for protocol, s := range senders(c, options(t)) {
			_, err := s.send(t.Context(), up(noon))
			if err == nil {
				t.Errorf("%s: no error", protocol)
				continue
			}
			mustNotLeak(t, kind+" by "+protocol, err.Error())
		}
	}
}

// The log of a receiver that cannot be reached has its URL, but not the key in it.
func TestUnreachableReceiverLogsNoKey(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String() + "/write"
	l.Close()
	for kind, c := range leakyReceivers(t, url) {
		for protocol, s := range senders(c, options(t)) {
			_, err := s.send(t.Context(), up(noon))
			if err == nil {
				t.Fatalf("%s: no error", protocol)
			}
			var log strings.Builder
			r := &receiver{log: slog.New(redact.Handler(slog.NewTextHandler(&log, nil))), now: options(t).Now}
			r.logTransition(errors.Join(err))
			mustNotLeak(t, kind+" by "+protocol, log.String())
			if !strings.Contains(log.String(), "refused") || !strings.Contains(log.String(), l.Addr().String()) {
				t.Errorf("the log does not say what is wrong: %s", &log)
			}
		}
	}
}
