package main

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"time"

	"bufio"
	"bytes"

	"netwatchd/internal/lab/responses"
)

// targets answer the requests of a load.
type targets struct {
	*arrivals
	port  int
	ca    []byte // PEM; https only
	close func() error
}

func startTargets(l load) (*targets, error) {
	t := &targets{arrivals: newArrivals(l.targets)}
	if l.kind == "dns" {
		ns, err := newNameserver(l, t.arrivals)
		if err != nil {
			return nil, err
		}
		t.port, t.close = ns.port(), ns.conn.Close
		return t, nil
	}
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return nil, err
	}
	t.port, t.close = listener.Addr().(*net.TCPAddr).Port, listener.Close
	var secure *tls.Config
	if l.kind == "https" {
		ca, certificate, err := responses.Authority(serverName)
		if err != nil {
			return nil, errors.Join(err, listener.Close())
		}
		t.ca = ca
		secure = &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true,
			NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	}
	go t.accept(listener, secure)
	return t, nil
}

func (t *targets) accept(listener net.Listener, secure *tls.Config) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		came := time.Now()
		t.add(serverIndex(conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr()), came, time.Time{})
		if secure != nil {
			conn = tls.Server(conn, secure)
		}
		go answerHTTP(conn)
	}
}

// answerHTTP answers every request of a connection, until the client closes it: the client pays for the close, as it
// does with real servers.
func answerHTTP(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 1024)
	for {
		head := true
		for head {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			head = len(bytes.TrimRight(line, "\r\n")) > 0
		}
		if _, err := conn.Write(httpAnswer); err != nil {
			return
		}
	}
}

var httpAnswer = []byte("HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Mon, 02 Jan 2023 15:04:05 GMT\r\n" +
	"Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n")

// writeCA writes the authority of the HTTPS targets to a file.
func (t *targets) writeCA(path string) error {
	if block, _ := pem.Decode(t.ca); block == nil {
		return errors.New("the authority is not PEM")
	}
	return os.WriteFile(path, t.ca, 0o600)
}

func (t *targets) writeCAIfAny(path string) error {
	if t.ca == nil {
		return nil
	}
	return t.writeCA(path)
}
