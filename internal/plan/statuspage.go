package plan

import (
	"net/url"
	"slices"

	"netwatchd/internal/config"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/vendorpage"
)

// StatusPages returns the status pages that may be asked, by service. The requests take the proxy of the service's
// agent, and trust whom it trusts.
func (p *Plan) StatusPages() map[string]*vendorpage.Page {
	all := make(map[string]*vendorpage.Page)
	for _, s := range p.config.Services {
		if page := statusPage(ownOf(p.config, s), s); page != nil {
			all[s.Name] = page
		}
	}
	return all
}

func statusPage(c *config.Config, s config.Service) *vendorpage.Page {
	u, err := url.Parse(s.StatusPage)
	if s.StatusPage == "" || s.StatusPageUnasked || err != nil { // the configuration was checked
		return nil
	}
	options := connect.Options{Rules: s.Reach.Client, Env: s.Reach.Env, EnvFile: s.Reach.EnvFile}
	like := func(p config.Probe) bool { return p.Kind == probe.KindHTTP }
	if i := slices.IndexFunc(s.Probes, like); i >= 0 {
		of := connectOptions(c, s.Probes[i])
		options.CAFile, options.ExtraCA, options.Proxy, options.Nameservers = of.CAFile, of.ExtraCA, of.Proxy, of.Nameservers
	}
	return &vendorpage.Page{URL: u, Options: options}
}
