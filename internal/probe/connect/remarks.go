package connect

import (
	"net/url"

	"netwatchd/internal/probe"
)

// Remarks returns what is odd about the settings by which the client would reach u now, in the words of an attempt, but
// without one. The error says why every request fails with them; nil: they may work. What a certificate would show is
// missing.
func (r Options) Remarks(u *url.URL) ([]string, error) {
	l := &Attempt{Options: r, Progress: new(Progress)}
	_, err := l.proxyFor(u)
	if u.Scheme == "https" || u.Scheme == "wss" {
		client, rootsErr := r.clientRoots()
		if err == nil {
			err = rootsErr
		}
		if client != nil {
			for _, remark := range client.remarks() {
				l.remark(remark)
			}
			if blocked := client.Blocked(); err == nil && blocked != nil {
				err = probe.Failf(probe.TLSAuthorityInvalid, "%s", client.unusable(blocked))
			}
		}
	}
	return l.Progress.End().Notes, err
}
