package plan

import (
	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/config"
)

// clientOf returns how the programs that use the service reach it.
func clientOf(s config.Service) clientrules.Client {
	if s.Client != config.AutoClient {
		client := clientrules.Client{Name: "programs linked with " + s.Client, Resolver: clientrules.Glibc}
		client.Resolver.UnmarshalText([]byte(s.Client))
		return client
	}
	if run, ok := agentProbe(s); ok {
		return agent.Named(run.Preset).Client(agent.Version{})
	}
	return clientrules.Curl()
}
