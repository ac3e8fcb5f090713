package probe

// Warnings are oddities that did not block the attempt (see [Facts.Warnings]). The names are a contract: they are in
// JSON, in the store and in the label of a metric. Those of the agents' own output are listed with the agents.
const (
	WarnNoAAAA          = "dns_no_aaaa"                 // the name has IPv4 addresses only
	WarnAFailed         = "dns_a_failed"                // the lookup of IPv4 addresses failed; IPv6 addresses were used
	WarnAAAAFailed      = "dns_aaaa_failed"             // the lookup of IPv6 addresses failed; IPv4 addresses were used
	WarnFirstFailed     = "dns_first_nameserver_failed" // it works, but each lookup waits for a dead nameserver first
	WarnHostsFile       = "dns_hosts_file"              // no nameserver was queried: the name is in /etc/hosts
	WarnNotAsked        = "dns_not_asked"               // no nameserver was queried, because of nsswitch.conf
	WarnServersIgnored  = "dns_nameservers_ignored"     // resolvers use only the first three of resolv.conf
	WarnOnlyByClient    = "dns_as_client"               // only the resolver of the service's programs finds the name
	WarnIPv4Failed      = "ipv4_failed"                 // connecting over IPv4 failed, and over IPv6 succeeded
	WarnIPv6Failed      = "ipv6_failed"                 // connecting over IPv6 failed, and over IPv4 succeeded
	WarnIPv4Slow        = "ipv4_slow"                   // connecting over IPv4 took so long that IPv6 was used
	WarnIPv6Slow        = "ipv6_slow"                   // connecting over IPv6 took so long that IPv4 was used
	WarnAddressFailed   = "address_failed"              // connecting to one address failed, to another of its family succeeded
	WarnAddressSlow     = "address_slow"                // connecting to one address took so long that another of its family was used
	WarnSmallPackets    = "small_packets_answered"      // it failed, and the same with small packets was answered
	WarnSmallHello      = "small_hello_answered"        // it failed, and the same with a small TLS ClientHello was answered
	WarnRejectedOnPath  = "forbidden_on_the_way"        // a firewall on the network path rejected the connection by ICMP
	WarnProxyGotNowhere = "proxy_got_nowhere"           // the proxy reported that it could not reach the target
	WarnBaseURL         = "base_url_refused"            // the agent's base URL is on this host, and nothing listens there
	WarnRouting         = "routing_discovery"           // the agent makes this request before every turn, so every turn fails
	WarnLeftProcesses   = "exec_left_processes"         // the command ended and left processes behind; they were killed

	WarnClientCertificate = "tls_client_certificate_refused" // the probe's own client certificate was not accepted
	WarnNotPublic         = "dns_zone_not_public"            // the name's zone does not exist in the public DNS
	WarnOutdatedTLS       = "tls_outdated"                   // the server offers only TLS that current clients refuse by default

	// WarnProxyNoPassword and WarnProxyCredentials tell how a proxy's 407 can be answered.
	WarnProxyNoPassword  = "proxy_no_password"         // it offers no scheme that takes a password from the URL (Basic)
	WarnProxyCredentials = "proxy_credentials_refused" // it got credentials and refuses them
)

// Signals of an agent's run that failed (see [Facts.Signals]).
const (
	SignalConnected = "connected"         // there was no answer, but it had connected and sent its request
	SignalRouting   = "routing_discovery" // what failed is the request that tells the agent where to send its turns
)
