package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// A failure is an error whose class the prober knew where it happened.
type failure struct {
	class Class
	err   error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// Fail marks err as having ended the attempt in class c.
func Fail(c Class, err error) error { return &failure{c, err} }

// Failf is Fail with a formatted error.
func Failf(c Class, format string, args ...any) error {
	return &failure{c, fmt.Errorf(format, args...)}
}

// KnownClass returns the class that err was marked with, if it was.
func KnownClass(err error) (Class, bool) {
	known, ok := errors.AsType[*failure](err)
	if !ok {
		return Unknown, false
	}
	return known.class, true
}

// worded is an error with another text; Classify still sees what it wraps.
type worded struct {
	said string
	err  error
}

func (w *worded) Error() string { return w.said }
func (w *worded) Unwrap() error { return w.err }

// Reword gives err another text; Classify still sees what it wraps.
func Reword(text string, err error) error { return &worded{text, err} }

// During adds what was being done when err occurred.
func During(what string, err error) error { return &worded{what + ": " + InWords(err), err} }

// InWords formats err without what net and net/http repeat: addresses, methods and names of system calls. It keeps
// the name "socket", because a socket that cannot be opened is the sign of a sandbox.
func InWords(err error) string {
	_, worded := errors.AsType[*worded](err)
	if _, failed := errors.AsType[*failure](err); failed || worded {
		return err.Error()
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok && call.Syscall == "socket" {
		return call.Error()
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), ok && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed by the other side"
	}
	return strings.TrimPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: ")
}
