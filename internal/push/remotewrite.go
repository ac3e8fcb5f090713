package push

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/exp/api/remote"
	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/config"
)

// remoteWrite sends by Prometheus remote write, 2.0 or 1.0.
type remoteWrite struct {
	labels       []config.Label
	protocol     string // as configured
	protocolFile string // stores the protocol the receiver is known to support
	api          *remote.API
	transport    *transport
	now          func() time.Time

	known      string // empty: unknown
	knownSince time.Time
}

func newRemoteWrite(c config.Receiver, o Options) *remoteWrite {
	w := &remoteWrite{
		labels:       c.Labels,
		protocol:     c.Protocol,
		protocolFile: filepath.Join(o.Dir, c.Name, "protocol"),
		transport:    newTransport(c, o),
		now:          o.Now,
	}
	// No retries here: what is to be sent may change before the next attempt. NewAPI fails only on an invalid URL.
	w.api, _ = remote.NewAPI(c.URL, remote.WithAPIPath(""), remote.WithAPIHTTPClient(w.transport.client()),
		remote.WithAPIBackoff(remote.BackoffConfig{MaxRetries: -1}))
	return w
}

// offerAgain is when a receiver that supports only 1.0 is offered 2.0 again: it may have been upgraded.
const offerAgain = 24 * time.Hour

// send sends snapshots. The first request detects the protocol of the receiver: one that does not support 2.0
// responds 415, or takes the request for 1.0 without samples and responds 2xx without the written-samples header. A
// receiver that once sent that header always sends it: a 2xx without it comes from someone else, for example a
// captive portal, and the samples stay in the queue.
func (w *remoteWrite) send(ctx context.Context, snapshots []snapshot) (int, error) {
	protocol := w.protocol
	if protocol == config.AnyProtocol {
		protocol = w.knownProtocol()
	}
	if protocol == config.RemoteWrite1 {
		return w.sendAs(ctx, config.RemoteWrite1, snapshots)
	}
	written, err := w.sendAs(ctx, config.RemoteWrite2, snapshots)
	switch {
	case err == nil:
		w.remember(config.RemoteWrite2)
		return written, nil
	case w.protocol != config.AnyProtocol:
		return written, err
	case w.transport.status == http.StatusUnsupportedMediaType, w.transport.status/100 == 2 && protocol == "":
		if written, err = w.sendAs(ctx, config.RemoteWrite1, snapshots); err == nil {
			w.remember(config.RemoteWrite1)
		}
	}
	return written, err
}

// sendAs makes one attempt and returns how many samples were accepted.
func (w *remoteWrite) sendAs(ctx context.Context, protocol string, snapshots []snapshot) (int, error) {
	t := newTable(w.labels, protocol == config.RemoteWrite2)
	for _, m := range snapshots {
		t.add(m.at, m.families)
	}
	w.transport.reset()
	if protocol == config.RemoteWrite1 {
		_, err := w.api.Write(ctx, remote.WriteV1MessageType, encodeV1(t))
		if err != nil {
			return 0, w.transport.classify(err)
		}
		return t.samples, nil
	}
	stats, err := w.api.Write(ctx, remote.WriteV2MessageType, encodeV2(t))
	if err != nil {
		return stats.Samples, w.transport.classify(err)
	}
	return t.samples, nil
}

// knownProtocol is the protocol that the receiver is known to support; empty if it must be detected.
func (w *remoteWrite) knownProtocol() string {
	if w.known == "" {
		if info, err := os.Stat(w.protocolFile); err == nil {
			text, _ := os.ReadFile(w.protocolFile) // if unreadable, the protocol is unknown
			if known := strings.TrimSpace(string(text)); known == config.RemoteWrite1 || known == config.RemoteWrite2 {
				w.known, w.knownSince = known, info.ModTime()
			}
		}
	}
	if w.known == config.RemoteWrite1 && w.now().Sub(w.knownSince) > offerAgain {
		w.known = ""
	}
	return w.known
}

func (w *remoteWrite) remember(protocol string) {
	if w.known == protocol {
		return
	}
	w.known, w.knownSince = protocol, w.now()
	_ = os.WriteFile(
		w.protocolFile,
		[]byte(protocol+"\n"),
		0o600,
	) // if it cannot be stored, the protocol is detected again after a restart
}

// A snapshot is what was gathered at one time.
type snapshot struct {
	at       int64 // in milliseconds since 1970
	families []*dto.MetricFamily
}

// A permanentError is a response that another attempt would not change.
type permanentError struct {
	status int
	err    error
}

func (r *permanentError) Error() string { return fmt.Sprintf("permanently rejected: %v", r.err) }
func (r *permanentError) Unwrap() error { return r.err }

func (w *remoteWrite) wait() time.Duration { return w.transport.retryAfter }
