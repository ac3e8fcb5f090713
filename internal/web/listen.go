package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/sync/errgroup"
)

// Config is where and how to listen.
type Config struct {
	Listen     []string // host:port; ignored if systemd passes sockets
	ConfigFile string   // exporter-toolkit's web configuration: TLS, basic auth, headers; empty: plain HTTP
	Limiter    *Limiter // bounds the connections; nil: a new one
}

// Listen validates the web configuration and binds every address, or none. If systemd passed sockets (socket
// activation), it uses those instead. Call it before anything else, and before any child process is started.
func Listen(c Config) ([]net.Listener, error) {
	if err := toolkit.Validate(c.ConfigFile); err != nil {
		return nil, fmt.Errorf("web configuration %s: %w", c.ConfigFile, err)
	}
	if passed, err := fromSystemd(); err != nil || len(passed) > 0 {
		return passed, err
	}
	listeners := make([]net.Listener, 0, len(c.Listen))
	for _, address := range c.Listen {
		l, err := net.Listen("tcp", address)
		if err != nil {
			closeAll(listeners)
			return nil, cannotListen(address, err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func fromSystemd() ([]net.Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("sockets passed by systemd: %w", err)
	}
	for i, l := range passed {
		if l == nil {
			closeAll(passed)
			return nil, fmt.Errorf(
				"socket %d passed by systemd is not a stream socket; use ListenStream= in the .socket unit",
				i,
			)
		}
	}
	return passed, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		if l != nil {
			l.Close()
		}
	}
}

// cannotListen is one sentence that says what to do.
func cannotListen(address string, err error) error {
	why, advice := err.Error(), "use host:port with --web.listen-address"
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		why = errno.Error()
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "if another netwatchd is running, see 'netwatchd status'; or set another address with --web.listen-address"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		advice = "this host does not have that address: set one it has with --web.listen-address"
	case errors.Is(err, syscall.EACCES):
		advice = "ports below 1024 need CAP_NET_BIND_SERVICE: set another with --web.listen-address"
	}
	return &listenError{fmt.Sprintf("cannot listen on %s: %s; %s", address, why, advice), err}
}

type listenError struct {
	message string
	err     error
}

func (e *listenError) Error() string { return e.message }
func (e *listenError) Unwrap() error { return e.err }

const (
	// headerTimeout closes a connection that sends no request: a browser's preconnect, a port scan, Slowloris.
	headerTimeout = 5 * time.Second

	// readTimeout bounds a request and its body, although none of ours has a body.
	readTimeout = 10 * time.Second

	// writeTimeout is longer than Prometheus waits for a scrape of ten thousand probes (scrape_timeout defaults to
	// 10 s). Streams extend their own deadline.
	writeTimeout = 30 * time.Second

	// idleTimeout keeps a scraper's connection open between scrapes, which are usually at most a minute apart.
	idleTimeout = 2 * time.Minute

	// headerLimit is that of nginx and Apache. It leaves room for cookies that other programs on localhost set in the
	// browser, and bounds what a client costs that sends half a header.
	headerLimit = 8 << 10

	// sendAhead is what a client may send ahead of being read over HTTP/2: no request of ours has a body.
	sendAhead = 64 << 10

	// maxStreams bounds the requests at once on an HTTP/2 connection. A page needs a dozen.
	maxStreams = 32

	// stopTimeout lets a running scrape finish; systemd would wait 90 s, a person at a terminal would not.
	stopTimeout = 3 * time.Second
)

// Serve serves on every listener until ctx ends or one of them fails, then lets running requests finish within three
// seconds; their contexts end at once, so that streams do not delay it. It closes the listeners. TLS and users are
// read again from the web configuration for every connection.
func Serve(ctx context.Context, listeners []net.Listener, c Config, h http.Handler, log *slog.Logger) error {
	group, ctx := errgroup.WithContext(ctx)
	if c.Limiter == nil {
		c.Limiter = NewLimiter(nil)
	}
	for _, l := range listeners {
		// One server per listener: exporter-toolkit's Serve (v0.20.0) wraps the handler of the server it is given.
		// With a second listener it would do so again while the first one reads it.
		server := newServer(ctx, h, c.Limiter, log)
		group.Go(func() error { return serveOn(limitedListener{l, c.Limiter}, server, c, log) })
		group.Go(func() error {
			<-ctx.Done()
			return shutDown(server, l)
		})
	}
	if len(listeners) == 0 {
		<-ctx.Done()
	}
	return group.Wait()
}

func newServer(base context.Context, h http.Handler, limiter *Limiter, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           limiter.serve(h),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       limiter.connContext,
		ConnState:         limiter.connState,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerLimit,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: sendAhead,
			MaxReceiveBufferPerConnection: sendAhead},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

func serveOn(l net.Listener, server *http.Server, c Config, log *slog.Logger) error {
	err := toolkit.Serve(l, server, &toolkit.FlagConfig{WebConfigFile: &c.ConfigFile}, log)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving on %s: %w", l.Addr(), err)
}

func shutDown(server *http.Server, l net.Listener) error {
	defer l.Close() // the server may have failed before it owned the listener
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}
