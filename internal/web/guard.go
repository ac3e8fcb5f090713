package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// policy allows pages to load files from this server only: nothing inline, no frames, nothing from other sites.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard keeps other sites from reading this server, or triggering a reload, through the user's browser.
func (s *Server) guard(next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, r, http.StatusForbidden, "cross_origin", "cross-origin requests are not allowed")
	}))
	next = sameOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // an old verdict helps nobody
		if !s.hostAllowed(r) {
			writeError(w, r, http.StatusMisdirectedRequest, "unknown_host",
				fmt.Sprintf("unknown host name %q: use localhost or the IP address", r.Host))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostAllowed rejects, on loopback, host names that an attacker may own: a page from such a name that then resolves to
// 127.0.0.1 would have the same origin as this server (DNS rebinding). On other addresses every name is allowed,
// because the names under which the server is exposed are not known here.
func (s *Server) hostAllowed(r *http.Request) bool {
	if !onLoopback(r) {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	return isLocalName(host) || slices.Contains(s.Hosts, host)
}

func onLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback()
}

// isLocalName reports whether host is an address, or a name that does not exist in public DNS: one without a dot,
// under localhost (RFC 6761), or under internal (reserved by ICANN in 2024), as in host.docker.internal.
func isLocalName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".internal")
}
