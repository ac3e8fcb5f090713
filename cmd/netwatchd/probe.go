package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"netwatchd/internal/config"
	"netwatchd/internal/host"
	"netwatchd/internal/plan"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/sandbox"
	"netwatchd/internal/screen"
	"netwatchd/internal/usage"
)

func (a *app) probeCommand() *cobra.Command {
	var asJSON bool
	var batch string
	flags := new(attemptFlags)
	cmd := &cobra.Command{
		Use:   "probe KIND TARGET",
		Short: "Run one probe once and show the result",
		Long: `Run one probe once and show the result. KIND is dns, http or stream; TARGET is
a name for dns and a URL otherwise.

The daemon runs this command inside the agent's sandbox and compares the
results with those from the host.

Exit code: 0 the result is as expected, 1 it is not, 3 usage error.`,
		Example: `  netwatchd probe dns chatgpt.com --nameserver 1.1.1.1:53
  netwatchd probe http https://chatgpt.com/backend-api/codex/responses \
    --method HEAD --expect.status 405 --expect.header Allow=POST`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("batch") {
				return usage.CheckCount(cmd, args, nil)
			}
			return usage.CheckArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.batch(cmd.Context(), batch, cmd.InOrStdin())
			}
			p, err := flags.probe(args[0], args[1])
			if err != nil {
				return err
			}
			r, ok := probe.Do(cmd.Context(), p)
			if !ok {
				return failed(cmd.Context().Err())
			}
			if asJSON {
				err = printJSON(a.out, "result", r)
			} else {
				err = screen.Result(a.out, r, screenOptions(a.out, true))
			}
			if err != nil {
				return failed(err)
			}
			if !r.OK() {
				return done(exitFault)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.Flags().StringVar(&batch, "batch", "",
		"run all probes of this list, in the daemon's format; - reads it from standard input")
	_ = cmd.Flags().MarkHidden("batch") // only netwatchd itself uses it, inside a sandbox
	flags.bind(cmd.Flags())
	return cmd
}

// batch runs all probes of a list at once and prints the list of their results on one line. It exits 0 if they ran,
// whatever their results.
func (a *app) batch(ctx context.Context, list string, in io.Reader) error {
	if list == "-" {
		text, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("reading the list of probes: %w", err)
		}
		list = string(text)
	}
	probes, err := sandbox.UnmarshalProbes([]byte(list), host.Sandbox{})
	if err != nil {
		return err
	}
	results := make([]probe.Result, len(probes))
	var all sync.WaitGroup
	for i, p := range probes {
		all.Go(func() { results[i], _ = probe.Do(ctx, p) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return failed(ctx.Err())
	}
	if err := json.NewEncoder(a.out).Encode(results); err != nil {
		return failed(err)
	}
	return nil
}

// attemptFlags are the flags that describe one attempt.
type attemptFlags struct {
	p           config.Probe
	family      string
	nameservers []string
	headers     []string
}

func (f *attemptFlags) bind(fs *pflag.FlagSet) {
	fs.DurationVar(&f.p.Timeout, "timeout", 5*time.Second, "time limit of the attempt, not counting --hold")
	fs.StringSliceVar(&f.nameservers, "nameserver", nil,
		"query the nameserver at this `ip:port` instead of the system's; may be repeated")
	fs.StringSliceVar(&f.p.Types, "type", []string{"A", "AAAA"}, "dns: record `types` to query")
	fs.StringSliceVar(&f.p.Expect.Answers, "expect.answer", nil, "dns: expect exactly these `answers`")
	fs.StringVar(&f.p.Method, "method", http.MethodGet, "http: request `method`")
	fs.IntSliceVar(&f.p.Expect.Status, "expect.status", nil, "http: expect one of these `status` codes (default any 2xx)")
	fs.StringArrayVar(&f.headers, "expect.header", nil, "http: expect this header, as `Name=value`; may be repeated")
	fs.StringVar(&f.p.TLS.CAFile, "tls.ca-file", "", "trust the certificates in this PEM `file` instead of the system's")
	fs.StringVar(&f.p.TLS.Cert, "tls.cert-file", "", "present the client certificate in this PEM `file`, with --tls.key-file")
	fs.StringVar(&f.p.TLS.Key, "tls.key-file", "", "the private key of the client certificate, a PEM `file`")
	fs.StringVar(&f.p.TLS.Issuer, "tls.issuer", "", "expect this `text` in the name of the certificate's issuer")
	fs.StringVar(&f.p.TLS.Name, "tls.name", "", "verify the certificate for this `name` instead of the URL's host")
	fs.StringVar(&f.family, "family", "any", "address `family`: any, ipv4 or ipv6")
	fs.StringVar(&f.p.Proxy, "proxy", "environment", "`proxy`: environment, none, or a URL")
	fs.DurationVar(&f.p.Hold, "hold", 0, "stream: keep the connection open and idle for this long")
}

// probe returns the probe that the arguments and flags describe.
func (f *attemptFlags) probe(kind, target string) (*probe.Probe, error) {
	p := f.p
	p.Name, p.Family = kind, config.Family(f.family)
	p.Timeout += p.Hold
	for _, step := range []func() error{
		func() error { return setKind(&p, kind) },
		func() error { return setTarget(&p, target) },
		func() error { return setNameservers(&p, f.nameservers) },
		func() error { return setHeaders(&p, f.headers) },
		func() error { return checkAttempt(&p) },
		func() error { return config.CheckProbe(p) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	spec := probe.Spec{Service: "cli", Name: p.Name, Kind: p.Kind, Target: target, Timeout: p.Timeout}
	return &probe.Probe{Spec: spec, Prober: plan.Prober(config.Builtin(), p, p.Hold)}, nil
}

func setKind(p *config.Probe, kind string) error {
	if err := p.Kind.UnmarshalText([]byte(kind)); err != nil || p.Kind == probe.KindHost || p.Kind == probe.KindExec {
		return fmt.Errorf("KIND %q: use dns, http or stream", kind)
	}
	return nil
}

func setTarget(p *config.Probe, target string) (err error) {
	if p.Kind == probe.KindDNS {
		if strings.Contains(target, "/") {
			return fmt.Errorf("TARGET %q: dns takes a name without a scheme or path", target)
		}
		p.Target = target
		return nil
	}
	schemes := map[probe.Kind][]string{probe.KindHTTP: {"http", "https"}, probe.KindStream: {"ws", "wss"}}[p.Kind]
	p.URL, err = url.Parse(target)
	if err != nil || p.URL.Host == "" || !slices.Contains(schemes, p.URL.Scheme) {
		return fmt.Errorf("TARGET %q: %v takes a URL that begins with %s://",
			target, p.Kind, strings.Join(schemes, ":// or "))
	}
	return nil
}

func setNameservers(p *config.Probe, texts []string) error {
	for _, text := range texts {
		server, err := netip.ParseAddrPort(text)
		if err != nil {
			return fmt.Errorf("--nameserver %q: use an address and a port, for example 1.1.1.1:53", text)
		}
		p.Nameservers = append(p.Nameservers, server)
	}
	return nil
}

func checkAttempt(p *config.Probe) error {
	for _, name := range p.Types {
		if _, err := dnsprobe.RecordType(name); err != nil {
			return fmt.Errorf("--type: %w", err)
		}
	}
	if p.Timeout-p.Hold <= 0 {
		return fmt.Errorf("--timeout %v: must be longer than 0s", p.Timeout-p.Hold)
	}
	if p.Hold < 0 {
		return fmt.Errorf("--hold %v: must not be negative", p.Hold)
	}
	for _, status := range p.Expect.Status {
		if status < 100 || status > 599 {
			return fmt.Errorf("--expect.status %d: must be from 100 to 599", status)
		}
	}
	if p.Proxy == "environment" || p.Proxy == "none" {
		return nil
	}
	if proxy, err := url.Parse(p.Proxy); err != nil || proxy.Host == "" { // the URL may hold a password: do not repeat it
		return errors.New("--proxy: use environment, none or a URL, for example http://proxy.example:3128")
	}
	return nil
}

func setHeaders(p *config.Probe, texts []string) error {
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("--expect.header %q: use Name=value, for example Allow=POST", text)
		}
		p.Expect.Headers = append(p.Expect.Headers, config.Header{Name: name, Value: value})
	}
	return nil
}
