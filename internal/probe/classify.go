package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// Classify turns the error that ended an attempt, and the phase it had reached, into a Class. Nothing else does.
//
// What the prober knows comes first, then the kernel's errno, then the resolver's answer, then certificates. Timeouts
// come last, because a timeout hides its reason.
func Classify(phase Phase, err error) Class {
	if err == nil {
		return OK
	}
	if known, ok := errors.AsType[*failure](err); ok {
		return known.class
	}
	for _, ask := range []func(Phase, error) Class{byErrno, byResolver, byCertificate, byTLS, byTimeout, byEnd} {
		if c := ask(phase, err); c != Unknown {
			return c
		}
	}
	return Unknown
}

func byErrno(phase Phase, err error) Class {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return Unknown
	}
	switch errno {
	case syscall.EPERM, syscall.EACCES:
		return LocalDenied
	// connect(2) of a datagram socket reports EAGAIN if there is no free port; Go's poller hides any other one.
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EAGAIN:
		return LocalResources
	case syscall.ENETDOWN, syscall.ENODEV:
		return LocalNoInterface
	case syscall.ENETUNREACH: // connect(2) fails at once, even for UDP: this host has no route
		return LocalNoRoute
	case syscall.EHOSTUNREACH:
		if phase == Resolve {
			return DNSUnreachable
		}
		return LocalNoRoute
	case syscall.ECONNREFUSED:
		if phase == Resolve {
			return DNSUnreachable
		}
		return TCPRefused
	case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED:
		return cutIn(phase, TCPReset)
	case syscall.ETIMEDOUT:
		return timedOutIn(phase)
	}
	return Unknown
}

func byResolver(_ Phase, err error) Class {
	dns, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return Unknown
	case dns.IsNotFound:
		return DNSNameNotResolved
	case dns.IsTimeout:
		return DNSTimeout
	}
	return DNSFailed
}

func byCertificate(_ Phase, err error) Class {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return TLSNameInvalid
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			return TLSDateInvalid
		case x509.NameMismatch, x509.NameConstraintsWithoutSANs:
			return TLSNameInvalid
		}
		return TLSAuthorityInvalid
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return TLSAuthorityInvalid
	}
	return Unknown
}

func byTLS(phase Phase, err error) Class {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return TLSProtocolError
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return TLSProtocolError
	}
	// An alert: with TLS 1.3 the server may reject the client after the client's part of the handshake.
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return TLSProtocolError
	}
	if phase == Handshake && strings.Contains(err.Error(), "tls: ") {
		return TLSProtocolError
	}
	return Unknown
}

func byTimeout(phase Phase, err error) Class {
	timeout, ok := errors.AsType[net.Error](err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || ok && timeout.Timeout() {
		return timedOutIn(phase)
	}
	return Unknown
}

func byEnd(phase Phase, err error) Class {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return cutIn(phase, TCPClosed)
	}
	return Unknown
}

func timedOutIn(phase Phase) Class {
	switch phase {
	case Resolve:
		return DNSTimeout
	case Connect:
		return TCPTimedOut
	case Handshake:
		return TLSTimedOut
	case Request, Response:
		return HTTPTimedOut
	case Streaming:
		return StreamStalled
	case Executing:
		return ExecTimedOut
	}
	return Unknown
}

// cutIn is the class of a connection that ended in phase; early is its class before the first byte.
func cutIn(phase Phase, early Class) Class {
	switch phase {
	case Handshake:
		return TLSClosed
	case Request, Response:
		return HTTPClosed
	case Streaming:
		return StreamCut
	}
	return early
}
