package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// policy lets a page have what comes from here and nothing else: no inline script or style, no frame, nothing of others.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard keeps web pages of others from reading what is here, or reloading it, through the user's browser.
func (s *Server) guard(next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, http.StatusForbidden, "cross_origin", "a page of another site may not do this")
	}))
	next = sameOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // yesterday's verdict helps nobody
		if !s.mayBeAskedAs(r) {
			refuse(w, r, http.StatusMisdirectedRequest, "unknown_host", fmt.Sprintf("this server is not %q; ask it by its address", r.Host))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// mayBeAskedAs refuses names that a stranger may own on connections from this host: a page of such a name, pointed at
// 127.0.0.1 once it is loaded, would be of our own origin (DNS rebinding). Whoever exposes the server beyond this host
// has names of their own, which are not known here.
func (s *Server) mayBeAskedAs(r *http.Request) bool {
	if !askedOnLoopback(r) {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	return ownedByNobody(host) || slices.Contains(s.Hosts, host)
}

func askedOnLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback()
}

// ownedByNobody reports whether host is an address or a name that public DNS never answers for: one without a dot, under
// localhost (RFC 6761), or under internal (reserved by ICANN in 2024), where Docker has host.docker.internal.
func ownedByNobody(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".internal")
}
