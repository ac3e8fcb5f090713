package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"netwatchd/internal/hostpaths"
	"netwatchd/internal/netvalue"
	"netwatchd/internal/strictyaml"
)

// Overrides are the settings from flags and environment variables. A flag wins over its variable, a variable over the
// file. A nil *Overrides overrides nothing.
type Overrides struct{ flags *pflag.FlagSet }

// A setting can be a key in the file, a flag, and an environment variable named after the flag.
type setting struct {
	key, flag, usage string
	check            func(string) error
}

const fileFlag = "config.file"

var settings = []setting{
	{"web.listen", "web.listen-address",
		"`host:port` to serve the page, the API and metrics on; may be repeated (default 127.0.0.1:19405)", netvalue.CheckListen},
	{"web.hosts", "web.hosts",
		"host `name` under which the page is reached; may be repeated. Addresses, names without a dot, and names under " +
			"localhost and internal need not be listed", netvalue.CheckHostname},
	{"web.config_file", "web.config.file",
		"exporter-toolkit `file` that configures TLS and authentication", checkWebConfig},
	{"web.token_file", "web.token-file",
		"`file` with the bearer token for requests from other hosts that change something " +
			"(default web.token in the storage path, made at start)", anything},
	{"web.profiling", "web.profiling",
		"serve /debug/pprof/: `true` or false (default false)", strictyaml.OneOf("true", "false")},
	{"storage.path", "storage.path",
		"`directory` for history (default /var/lib/netwatchd, or $XDG_STATE_HOME/netwatchd)", checkNotEmpty},
	{"status_file", "status.file",
		"`file` to keep the latest verdict in (default /run/netwatchd/status.json, or under $XDG_RUNTIME_DIR)", anything},
	{"log.level", "log.level",
		"minimum log `level`: debug, info, warn, error (default info)", checkLevel},
	{"log.format", "log.format",
		"log `format`: auto (text on a terminal, JSON elsewhere), text, json (default auto)", checkFormat},
}

// isList reports whether the flag may be repeated.
func (s setting) isList() bool { return s.key == "web.listen" || s.key == "web.hosts" }

// anything accepts any value: an empty status file is not written.
func anything(string) error { return nil }

// variable returns the environment variable of a flag: NETWATCHD_LOG_LEVEL for --log.level.
func variable(flag string) string {
	return "NETWATCHD_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(flag))
}

// BindFlags defines --config.file and the flags that override the file.
func BindFlags(fs *pflag.FlagSet) *Overrides {
	fs.String(fileFlag, "", "configuration `file` (default "+hostpaths.SystemFile+", or $XDG_CONFIG_HOME/netwatchd/config.yaml)")
	for _, s := range settings {
		if s.isList() {
			fs.StringArray(s.flag, nil, s.usage)
		} else {
			fs.String(s.flag, "", s.usage)
		}
	}
	return &Overrides{fs}
}

// File is the configuration file named by flag or variable; empty if none is.
func (o *Overrides) File() string {
	if o == nil {
		return ""
	}
	v := viper.New()
	o.bind(v, fileFlag, fileFlag)
	return v.GetString(fileFlag)
}

func (o *Overrides) bind(v *viper.Viper, key, flag string) {
	// Neither fails for an existing key and flag.
	_ = v.BindEnv(key, variable(flag))
	if f := o.flags.Lookup(flag); f != nil {
		_ = v.BindPFlag(key, f)
	}
}

// source returns what overrides a setting: its flag, its variable, or empty for neither.
func (o *Overrides) source(flag string) string {
	if f := o.flags.Lookup(flag); f != nil && f.Changed {
		return "--" + flag
	}
	if os.Getenv(variable(flag)) != "" {
		return variable(flag)
	}
	return ""
}

// Given reports whether a flag or its variable overrides the file.
func (o *Overrides) Given(flag string) bool { return o.source(flag) != "" }

// CheckProbe checks those settings of a probe that the command line and the file have in common, by the names of the
// flags.
func CheckProbe(p Probe) error {
	if err := strictyaml.OneOf(string(anyFamily), string(ipv4), string(ipv6))(string(p.Family)); err != nil {
		return fmt.Errorf("--family: %w", err)
	}
	if p.TLS.Cert != "" || p.TLS.Key != "" {
		if p.TLS.Cert == "" || p.TLS.Key == "" {
			return errors.New("--tls.cert-file and --tls.key-file: set both")
		}
		if err := checkKeyPair(p.TLS.Cert, p.TLS.Key); err != nil {
			return fmt.Errorf("--tls.cert-file: %w", err)
		}
	}
	if p.TLS.CAFile == "" {
		return nil
	}
	if err := checkCAFile(p.TLS.CAFile); err != nil {
		return fmt.Errorf("--tls.ca-file: %w", err)
	}
	return nil
}

// apply applies the overrides to c and returns their faults.
//
// Viper merges only these few settings. Reading the whole file, it would silently lower-case keys, take `interval: 5`
// for five nanoseconds and let the last of two equal keys win.
func (o *Overrides) apply(c *Config) []strictyaml.Fault {
	if o == nil {
		return nil
	}
	v := viper.New()
	_ = v.MergeConfigMap(map[string]any{ // cannot fail for plain maps
		"web": map[string]any{
			"listen":      c.Web.Listen,
			"hosts":       c.Web.Hosts,
			"config_file": c.Web.ConfigFile,
			"token_file":  c.Web.TokenFile,
			"profiling":   c.Web.Profiling,
		},
		"storage":     map[string]any{"path": c.Storage.Path},
		"status_file": c.StatusFile,
		"log":         map[string]any{"level": c.Log.Level, "format": c.Log.Format},
	})
	var faults []strictyaml.Fault
	for _, s := range settings {
		o.bind(v, s.key, s.flag)
		if from := o.source(s.flag); from != "" {
			faults = append(faults, s.faults(v, from)...)
		}
	}
	c.Web = Web{Listen: list(v, "web.listen"), Hosts: list(v, "web.hosts"), ConfigFile: v.GetString("web.config_file"),
		TokenFile: v.GetString("web.token_file"), Profiling: v.GetBool("web.profiling")}
	c.Storage.Path = v.GetString("storage.path")
	c.StatusFile = v.GetString("status_file")
	c.Log = Log{Level: v.GetString("log.level"), Format: v.GetString("log.format")}
	return faults
}

func (s setting) faults(v *viper.Viper, from string) (faults []strictyaml.Fault) {
	values := []string{v.GetString(s.key)}
	if several := list(v, s.key); s.isList() && len(several) > 0 {
		values = several
	}
	for _, value := range values {
		if err := s.check(value); err != nil {
			faults = append(faults, strictyaml.Fault{Path: from, Message: err.Error()})
		}
	}
	return faults
}

// list returns a list's values, also split at commas, so that a variable can hold several.
func list(v *viper.Viper, key string) []string {
	all := slices.DeleteFunc(strings.Split(strings.Join(v.GetStringSlice(key), ","), ","),
		func(s string) bool { return s == "" })
	if len(all) == 0 {
		return nil
	}
	return all
}
