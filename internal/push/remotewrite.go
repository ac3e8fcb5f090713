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

// remoteWrite sends by Prometheus' remote write, 2.0 or 1.0.
type remoteWrite struct {
	labels   []config.Label
	protocol string // asked for by the configuration
	memory   string // the file that holds the protocol the receiver is known to speak
	api      *remote.API
	line     *transport
	now      func() time.Time

	spoken      string // empty: not known
	spokenSince time.Time
}

func newRemoteWrite(c config.Receiver, o Options) *remoteWrite {
	w := &remoteWrite{
		labels: c.Labels, protocol: c.Protocol, memory: filepath.Join(o.Dir, c.Name, "protocol"), line: newTransport(c, o), now: o.Now,
	}
	// One attempt at a time: what is still to be sent may change before the next one. It fails on a URL that is none only.
	w.api, _ = remote.NewAPI(c.URL, remote.WithAPIPath(""), remote.WithAPIHTTPClient(w.line.client()),
		remote.WithAPIBackoff(remote.BackoffConfig{MaxRetries: -1}))
	return w
}

// askAgain is after how long a receiver of 1.0 is offered 2.0 again: it may have been upgraded.
const askAgain = 24 * time.Hour

// send sends what was collected at several times. The receiver's protocol is found out with the first of it: one that does not
// know 2.0 says so (415), or takes it for 1.0, of which it sees no samples, and says that all is well but not how much it
// wrote. A receiver that once said how much it wrote will again: whoever does not now is another, a captive portal say, and is
// given nothing that was not kept.
func (w *remoteWrite) send(ctx context.Context, moments []moment) (int, error) {
	protocol := w.protocol
	if protocol == config.AnyProtocol {
		protocol = w.recall()
	}
	if protocol == config.RemoteWrite1 {
		return w.sendAs(ctx, config.RemoteWrite1, moments)
	}
	written, err := w.sendAs(ctx, config.RemoteWrite2, moments)
	switch {
	case err == nil:
		w.learn(config.RemoteWrite2)
		return written, nil
	case w.protocol != config.AnyProtocol:
		return written, err
	case w.line.status == http.StatusUnsupportedMediaType, w.line.status/100 == 2 && protocol == "":
		if written, err = w.sendAs(ctx, config.RemoteWrite1, moments); err == nil {
			w.learn(config.RemoteWrite1)
		}
	}
	return written, err
}

// sendAs makes one attempt and returns how many samples were written.
func (w *remoteWrite) sendAs(ctx context.Context, protocol string, moments []moment) (int, error) {
	t := newTable(w.labels, protocol == config.RemoteWrite2)
	for _, m := range moments {
		t.add(m.at, m.families)
	}
	w.line.begin()
	if protocol == config.RemoteWrite1 {
		_, err := w.api.Write(ctx, remote.WriteV1MessageType, encode1(t))
		if err != nil {
			return 0, w.line.judge(err)
		}
		return t.samples, nil
	}
	stats, err := w.api.Write(ctx, remote.WriteV2MessageType, encode2(t))
	if err != nil {
		return stats.Samples, w.line.judge(err)
	}
	return t.samples, nil
}

// recall is the protocol that the receiver is known to speak, if it need not be asked again.
func (w *remoteWrite) recall() string {
	if w.spoken == "" {
		if info, err := os.Stat(w.memory); err == nil {
			text, _ := os.ReadFile(w.memory) // unreadable, it is not known
			w.spoken, w.spokenSince = strings.TrimSpace(string(text)), info.ModTime()
		}
	}
	if w.spoken == config.RemoteWrite1 && w.now().Sub(w.spokenSince) > askAgain {
		w.spoken = ""
	}
	return w.spoken
}

func (w *remoteWrite) learn(protocol string) {
	if w.spoken == protocol {
		return
	}
	w.spoken, w.spokenSince = protocol, w.now()
	_ = os.WriteFile(w.memory, []byte(protocol+"\n"), 0o600) // if it cannot be kept, the receiver is asked again
}

// A moment is what was collected at one time.
type moment struct {
	at       int64
	families []*dto.MetricFamily
}

// A refusal is an answer that will be the same next time.
type refusal struct {
	status int
	err    error
}

func (r *refusal) Error() string { return fmt.Sprintf("refused for good: %v", r.err) }
func (r *refusal) Unwrap() error { return r.err }

func (w *remoteWrite) wait() time.Duration { return w.line.waiting }
