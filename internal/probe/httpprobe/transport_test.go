package httpprobe

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

const (
	chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	sizedHead   = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
)

// resetsAfter sends text and resets the connection once the client has had time to read it.
func resetsAfter(text string) func(net.Conn) {
	return func(c net.Conn) {
		probetest.Hears(c)
		io.WriteString(c, text)
		time.Sleep(50 * time.Millisecond)
		c.(*net.TCPConn).SetLinger(0)
	}
}

// Whatever ends the transport of a body has a class of layer http: an unknown error pages nobody.
func TestBrokenBody(t *testing.T) {
	if !probetest.InOwnProcess(t) {
		return
	}
	for _, tt := range []struct {
		name   string
		script func(net.Conn)
		class  probe.Class
		why    string
	}{
		{"bad chunk size", probetest.Says(chunkedHead + "xyz\r\nhello\r\n"),
			probe.HTTPProtocolError, "invalid byte in chunk length"},
		{"chunk size too large", probetest.Says(chunkedHead + "fffffffffffffffff\r\nhello"),
			probe.HTTPProtocolError, "chunk length too large"},
		{"no line end after a chunk", probetest.Says(chunkedHead + "5\r\nhello5\r\nhello"),
			probe.HTTPProtocolError, "malformed chunked encoding"},
		{"malformed trailer", probetest.Says(chunkedHead + "5\r\nhello\r\n0\r\nno colon here\r\n\r\n"),
			probe.HTTPProtocolError, "malformed"},
		{"endless trailer", probetest.Says(chunkedHead + "0\r\nX: " + strings.Repeat("a", 1<<20)),
			probe.HTTPProtocolError, "trailer"},
		{"truncated chunk", probetest.Says(chunkedHead + "100\r\nhello"),
			probe.HTTPClosed, "closed by the other side"},
		{"no last chunk", probetest.Says(chunkedHead + "5\r\nhello\r\n"),
			probe.HTTPClosed, "closed by the other side"},
		{"content length too long", probetest.Says(sizedHead + "hello"),
			probe.HTTPClosed, "closed by the other side"},
		{"reset in a sized body", resetsAfter(sizedHead + "hello"), probe.HTTPClosed, "reset"},
		{"reset in a chunk", resetsAfter(chunkedHead + "100\r\nhello"), probe.HTTPClosed, "reset"},
		{"silence in a chunk", func(c net.Conn) {
			probetest.Says(chunkedHead + "100\r\nhello")(c)
			probetest.Silent(c)
		}, probe.HTTPTimedOut, "no answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Request{}
			p.URL, p.Options = at(t, "http", probetest.Listening(t, tt.script), "/")
			probetest.WantEnd(t, probetest.Attempt(t, p, time.Second), tt.class, probe.Response, "reading the body: ", tt.why)
		})
	}
}

// overTLS serves script inside TLS; raw is the connection below.
func overTLS(cert tls.Certificate, protocol string, script func(secured *tls.Conn, raw net.Conn)) func(net.Conn) {
	return func(raw net.Conn) {
		secured := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{protocol}})
		if secured.Handshake() == nil {
			script(secured, raw)
		}
	}
}

// beginsHTTP2 answers the first request with a header and the first part of a body, then goes on as then says.
func beginsHTTP2(then func(f *http2.Framer, stream uint32)) func(*tls.Conn, net.Conn) {
	return func(secured *tls.Conn, _ net.Conn) {
		io.ReadFull(secured, make([]byte, len(http2.ClientPreface)))
		f := http2.NewFramer(secured, secured)
		f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if head, is := frame.(*http2.HeadersFrame); is {
				var block bytes.Buffer
				hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: head.StreamID, BlockFragment: block.Bytes(), EndHeaders: true})
				f.WriteData(head.StreamID, false, []byte("hello"))
				then(f, head.StreamID)
				return
			}
		}
	}
}

func TestBrokenBodyOverTLS(t *testing.T) {
	ca := probetest.NewAuthority(t, "Test Root")
	cert := ca.Issue(t, nil)
	goAway := func(last uint32) func(f *http2.Framer, stream uint32) {
		return func(f *http2.Framer, stream uint32) {
			f.WriteGoAway(last, http2.ErrCodeInternal, nil)
			time.Sleep(50 * time.Millisecond)
		}
	}
	for _, tt := range []struct {
		name     string
		protocol string
		script   func(*tls.Conn, net.Conn)
		class    probe.Class
		why      string
	}{
		{"closed without notify", "http/1.1", func(secured *tls.Conn, raw net.Conn) {
			probetest.Says(sizedHead + "hello")(secured)
			raw.Close()
		}, probe.HTTPClosed, "closed by the other side"},
		{"RST_STREAM", "h2", beginsHTTP2(func(f *http2.Framer, stream uint32) {
			f.WriteRSTStream(stream, http2.ErrCodeInternal)
			f.ReadFrame()
		}), probe.HTTPClosed, "INTERNAL_ERROR"},
		{"GOAWAY, then closed", "h2", beginsHTTP2(goAway(1)), probe.HTTPClosed, ""},
		{"GOAWAY that excludes the request", "h2", beginsHTTP2(goAway(0)), probe.HTTPClosed, ""},
		{"closed", "h2", beginsHTTP2(func(*http2.Framer, uint32) {}), probe.HTTPClosed, ""},
		{"a frame that breaks the protocol", "h2", beginsHTTP2(func(f *http2.Framer, stream uint32) {
			f.WriteRawFrame(http2.FrameWindowUpdate, 0, stream, []byte{1})
			f.ReadFrame()
		}), probe.HTTPProtocolError, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Request{}
			p.URL, p.Options = at(t, "https", probetest.Listening(t, overTLS(cert, tt.protocol, tt.script)), "/")
			p.CAFile = ca.File
			probetest.WantEnd(t, probetest.Attempt(t, p, 2*time.Second), tt.class, probe.Response, "reading the body: ", tt.why)
		})
	}
}
