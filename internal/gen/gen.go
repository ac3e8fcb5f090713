// Package gen generates the files under deploy and docs that follow from the table of causes.
package gen

//go:generate go run ./cmd ../..

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"netwatchd/internal/config"
	"netwatchd/internal/gen/dashboard"
	"netwatchd/internal/rules"
)

// Files returns the content of every generated file by its path relative to root, the top of the source tree. It
// reads files that are partly written by hand and keeps that part.
func Files(root string) (map[string]string, error) {
	files := make(map[string]string)
	var errs []error
	generators := []func(string, map[string]string) error{
		prometheusRules, ruleTests, inhibitions, dashboards, runbooks, schemas,
	}
	for _, generate := range generators {
		errs = append(errs, generate(root, files))
	}
	return files, errors.Join(errs...)
}

func hostRules() rules.File { return rules.For(config.Builtin(), rules.Default()) }

func fleetRules() rules.File { return rules.Fleet(config.Builtin(), rules.Default()) }

// prometheusRules are what `netwatchd rules` prints without a configuration, and what it prints with --fleet.
func prometheusRules(_ string, files map[string]string) error {
	for name, rules := range map[string]rules.File{"netwatchd.rules.yml": hostRules(), "fleet.rules.yml": fleetRules()} {
		var b strings.Builder
		if err := rules.Write(&b); err != nil {
			return err
		}
		files["deploy/prometheus/"+name] = b.String()
	}
	return nil
}

// inhibitions replaces the end of the example for Alertmanager with what `netwatchd rules --inhibit` prints. The rest
// is written by hand.
func inhibitions(root string, files map[string]string) error {
	const path = "deploy/alertmanager/alertmanager.yml"
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := rules.Inhibit(rules.Default()).Write(&b); err != nil {
		return err
	}
	heading, _, _ := strings.Cut(b.String(), "\n")
	byHand, _, found := strings.Cut(string(text), heading)
	if !found {
		return fmt.Errorf("%s lacks the line %q", path, heading)
	}
	files[path] = byHand + b.String()
	return nil
}

func dashboards(_ string, files map[string]string) error {
	for _, d := range dashboard.All() {
		var b strings.Builder
		if err := d.Write(&b); err != nil {
			return err
		}
		files["deploy/grafana/dashboards/"+d.UID+".json"] = b.String()
	}
	return nil
}
