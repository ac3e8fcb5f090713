package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"netwatchd/internal/webtoken"
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
				fmt.Sprintf("unknown host name %q: use localhost or the IP address, or add the name to web.hosts", r.Host))
			return
		}
		if !isSafe(r.Method) && !onThisHost(r) && !s.authenticated() {
			if err := webtoken.Check(s.TokenFile, r.Header.Get("Authorization")); err != nil {
				h.Set("WWW-Authenticate", `Bearer realm="netwatchd"`)
				writeError(w, r, http.StatusUnauthorized, "unauthenticated", fmt.Sprintf("this address has no authentication, "+
					"and the request changes something: %v; or send it to a loopback address", err))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// isSafe reports whether a method changes nothing (RFC 9110, 9.2.1).
func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions ||
		method == http.MethodTrace
}

func (s *Server) authenticated() bool { return s.Authenticated != nil && s.Authenticated() }

// hostAllowed rejects host names that an attacker may own: a page from such a name that then resolves to an address of
// this server would have its origin (DNS rebinding). It does so on every address: a browser in the LAN can be used like
// one on this host.
func (s *Server) hostAllowed(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	return isLocalName(host) ||
		slices.ContainsFunc(
			s.Hosts,
			func(known string) bool { return strings.EqualFold(strings.TrimSuffix(known, "."), host) },
		)
}

// onThisHost reports whether only this host can have sent a request: it came over loopback or a Unix socket.
func onThisHost(r *http.Request) bool {
	_, unix := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
	return unix || onLoopback(r)
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
