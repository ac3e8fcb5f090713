package probe

// Limits on what one attempt accepts from a peer. A daemon with 60 probes must not need more memory because a server, a
// proxy or a nameserver is hostile: with Go's defaults of 10 MiB of headers and 4 MiB of unread HTTP/2 body, it did.
const (
	// HeaderLimit bounds the header of a response, with all interim (1xx) responses before it. Servers and proxies limit
	// headers to 8 or 16 KiB themselves; a Content-Security-Policy can be long.
	HeaderLimit = 64 << 10

	// BodyLimit bounds how much of a body is read: a challenge page identifies itself within its first few kilobytes, and
	// a health check's answer is shorter still. Over HTTP/2 it is also what a server may send ahead.
	BodyLimit = 64 << 10

	// HeldStreamLimit bounds what a server may send on a held WebSocket. It is discarded as it arrives; the limit ends
	// a flood, which would use a core for as long as the stream is held.
	HeldStreamLimit = 16 << 20

	// DNSRecordLimit bounds the records of a DNS message. Compressed to 64 KiB (RFC 1035, 4.2.2), five thousand names of
	// 255 octets expand to megabytes, and every address is kept with the result.
	DNSRecordLimit = 512
)
