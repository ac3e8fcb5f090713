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

// Config says where to listen, and how.
type Config struct {
	Listen     []string // host:port; not used if systemd hands sockets over
	ConfigFile string   // exporter-toolkit's web configuration: TLS, basic auth, headers; empty: plain HTTP
}

// Listen checks the web configuration and binds every address, or none. If systemd activated the process by its sockets,
// those are taken instead. Call it before anything else runs, and before any child process is started.
func Listen(c Config) ([]net.Listener, error) {
	if err := toolkit.Validate(c.ConfigFile); err != nil {
		return nil, fmt.Errorf("web configuration %s: %w", c.ConfigFile, err)
	}
	if handed, err := fromSystemd(); err != nil || len(handed) > 0 {
		return handed, err
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
	handed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("sockets handed over by systemd: %w", err)
	}
	for i, l := range handed {
		if l == nil {
			closeAll(handed)
			return nil, fmt.Errorf("socket %d handed over by systemd cannot be listened on; use ListenStream= in the .socket unit", i)
		}
	}
	return handed, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		if l != nil {
			l.Close()
		}
	}
}

// cannotListen is one sentence, with what to do.
func cannotListen(address string, err error) error {
	why, todo := err.Error(), "give host:port with --web.listen-address"
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		why = errno.Error()
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		todo = "another netwatchd? see 'netwatchd status', or choose another with --web.listen-address"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		todo = "this host has no such address: choose one it has with --web.listen-address"
	case errors.Is(err, syscall.EACCES):
		todo = "ports below 1024 need CAP_NET_BIND_SERVICE: choose another with --web.listen-address"
	}
	return &listenError{fmt.Sprintf("cannot listen on %s: %s; %s", address, why, todo), err}
}

type listenError struct {
	message string
	err     error
}

func (e *listenError) Error() string { return e.message }
func (e *listenError) Unwrap() error { return e.err }

const (
	// headerTimeout ends a connection that was opened and says nothing: a browser's preconnect, a port scan, Slowloris.
	headerTimeout = 5 * time.Second

	// readTimeout bounds a request with its body, of which none of ours has one.
	readTimeout = 10 * time.Second

	// writeTimeout is more than any Prometheus waits for a scrape of ten thousand probes (its scrape_timeout is 10 s
	// unless configured). What streams longer moves its own deadline.
	writeTimeout = 30 * time.Second

	// idleTimeout keeps a scraper's connection open between scrapes, which are a minute apart at the most usual.
	idleTimeout = 2 * time.Minute

	// headerLimit is plenty for cookies that other programs on localhost leave in a browser.
	headerLimit = 32 << 10

	// stopTimeout lets a scrape under way finish; systemd would wait 90 s, a person at a terminal would not.
	stopTimeout = 3 * time.Second
)

// Serve answers on every listener until ctx ends or one of them fails, then lets requests under way finish within three
// seconds; their contexts end at once, so that what streams does not hold it up. It closes the listeners. TLS and users
// are read anew from the web configuration for every connection.
func Serve(ctx context.Context, listeners []net.Listener, c Config, h http.Handler, log *slog.Logger) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		// A server each: exporter-toolkit's Serve wraps the handler of the server it is given, and with a second listener
		// would do so twice, while the first reads it (v0.20.0).
		server := newServer(ctx, h, log)
		group.Go(func() error { return serveOn(l, server, c, log) })
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

func newServer(base context.Context, h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerLimit,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
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
	defer l.Close() // the server may have failed before it took it over
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}
