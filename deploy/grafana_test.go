package deploy

import (
	"bytes"
	"os"
	"path"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// decode reads a YAML file and fails on unknown keys.
func decode(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// Grafana ignores unknown keys, so these must be spelled as in its documentation.
func TestProvisioning(t *testing.T) {
	var dashboards struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type, Folder    string
			AllowUIUpdates        bool `yaml:"allowUiUpdates"`
			UpdateIntervalSeconds int  `yaml:"updateIntervalSeconds"`
			Options               struct{ Path string }
		}
	}
	decode(t, "grafana/provisioning/dashboards/netwatchd.yaml", &dashboards)
	if p := dashboards.Providers; dashboards.APIVersion != 1 || len(p) != 1 || p[0].Type != "file" || !path.IsAbs(p[0].Options.Path) {
		t.Errorf("want one provider of files: %+v", dashboards)
	}

	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, Type, Access, URL string
			IsDefault               bool `yaml:"isDefault"`
			JSONData                struct {
				TimeInterval string `yaml:"timeInterval"`
				HTTPMethod   string `yaml:"httpMethod"`
			} `yaml:"jsonData"`
		}
	}
	decode(t, "grafana/provisioning/datasources/prometheus.yaml", &sources)
	if s := sources.Datasources; sources.APIVersion != 1 || len(s) != 1 || s[0].Type != "prometheus" {
		t.Fatalf("want one Prometheus: %+v", sources)
	}
	every, err := time.ParseDuration(sources.Datasources[0].JSONData.TimeInterval)
	if err != nil || every != scrapeInterval(t) {
		t.Errorf("timeInterval is %v (%v), deploy/prometheus scrapes every %v", every, err, scrapeInterval(t))
	}
}

func scrapeInterval(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("prometheus/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Global struct {
			ScrapeInterval time.Duration `yaml:"scrape_interval"`
		}
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c.Global.ScrapeInterval
}
