package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"netwatchd/internal/client"
	"netwatchd/internal/daemonlog"
	"netwatchd/internal/incident"
	"netwatchd/internal/record"
	"netwatchd/internal/screen"
	"netwatchd/internal/store"
)

func (a *app) incidentsCommand() *cobra.Command {
	var asJSON bool
	var f incident.Filter
	var remote client.Options
	cmd := &cobra.Command{
		Use:   "incidents",
		Short: "List incidents, newest first",
		Long: `List incidents, newest first, and below them the observations: what was seen
and is not a fault, such as a run of the agent that failed in a sandbox that
is closed as configured. They come from the running daemon or, if none runs,
from its store.

Exit code: 0 listed, 1 neither can be read, 3 usage or configuration error.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withSource(cmd.Context(), &remote, func(s source, services []string) error {
				if err := checkServices(cmd.Context(), s, f.Services, services); err != nil {
					return err
				}
				if !asJSON {
					return a.listIncidents(cmd.Context(), s, f)
				}
				found, total, err := s.Incidents(cmd.Context(), f)
				if err != nil {
					return err
				}
				if more := total - len(found); more > 0 {
					fmt.Fprintf(a.errs, "netwatchd: %d more not listed; use --limit=0 to list all\n", more)
				}
				return printJSON(a.out, "incidents", listOf(found))
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the incidents as JSON")
	cmd.Flags().StringSliceVar(&f.Services, "service", nil, "list only incidents of this `service`; may be repeated")
	cmd.Flags().BoolVar(&f.OpenOnly, "open", false, "list only open incidents")
	cmd.Flags().IntVar(&f.Limit, "limit", 50, "maximum `number` of incidents to list; 0 means all")
	bindRemote(cmd, &remote)
	cmd.AddCommand(a.noteCommand())
	return cmd
}

// listIncidents prints faults and observations apart.
func (a *app) listIncidents(ctx context.Context, s source, f incident.Filter) error {
	f.Kind = incident.Faults
	faults, total, err := s.Incidents(ctx, f)
	if err != nil {
		return err
	}
	f.Kind = incident.Observations
	observed, totalObserved, err := s.Incidents(ctx, f)
	if err != nil {
		return err
	}
	o := screenOptions(a.out, false)
	o.Now = time.Now()
	if err := screen.Incidents(a.out, faults, total, o); err != nil {
		return err
	}
	return screen.Observations(a.out, observed, totalObserved, o)
}

// incidentList is what --json prints. It holds only what scripts rely on; the API has the rest.
type incidentList struct {
	Incidents []listedIncident `json:"incidents"`
}

type listedIncident struct {
	ID      string          `json:"id"`
	Service string          `json:"service"`
	Causes  []incident.Span `json:"causes"`
	Opened  time.Time       `json:"opened"`
	Closed  *time.Time      `json:"closed"` // null: still open
	Notes   []incident.Note `json:"notes"`

	Observation bool `json:"observation,omitempty"` // not a fault; closed is when it was last seen
}

func listOf(all []*incident.Incident) incidentList {
	l := incidentList{Incidents: make([]listedIncident, len(all))} // an empty list is [], never null
	for n, i := range all {
		l.Incidents[n] = listedIncident{i.ID, i.Service, append([]incident.Span{}, i.Causes...), i.Opened, i.Closed,
			append([]incident.Note{}, i.Notes...), i.Observation}
	}
	return l
}

func (a *app) noteCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "note ID TEXT...",
		Short:   "Add a note to an incident",
		Long:    "Add a note to an incident. It appears in the full report of the incident. The daemon may keep running.\n\n" + idHelp,
		Example: `  netwatchd incidents note latest "the VPN was reconnecting"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			text := strings.TrimSpace(strings.Join(args[1:], " "))
			if text == "" || len(text) > noteLimit {
				return fmt.Errorf("TEXT has %d bytes: it must have between 1 and %d", len(text), noteLimit)
			}
			return a.withStore(cmd.Context(), func(s *store.Store) error {
				id, err := resolveID(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				if err := addNote(cmd.Context(), s, id, text); err != nil {
					return err
				}
				fmt.Fprintf(a.out, "note added to %s\n", id)
				return nil
			})
		},
	}
}

// noteLimit is about a screenful. A longer text belongs in a file that can be edited.
const noteLimit = 4000

func (a *app) explainCommand() *cobra.Command {
	var asJSON bool
	var bundle, workspace string
	var remote client.Options
	cmd := &cobra.Command{
		Use:   "explain ID",
		Short: "Print the full report of an incident",
		Long: `Print the full report of an incident or an observation: what to do, scope,
runtime, the agent's configuration without secrets, symptom, verdict and
evidence, timeline, backtest, and what changed when it ended. The output is
Markdown or JSON; --bundle writes both to one file for a bug report.

` + idHelp,
		Example: `  netwatchd explain latest
  netwatchd explain 20261123-codex-1 --bundle incident.tar.gz`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withSource(cmd.Context(), &remote, func(s source, _ []string) error {
				id, err := resolveID(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				markdown, text, err := s.Record(cmd.Context(), id)
				if err == nil && workspace != "" {
					markdown, text, err = record.WithWorkspace(text, workspace)
				}
				switch {
				case err != nil:
					return err
				case bundle != "":
					return a.bundle(bundle, record.Bundle{ID: id, Markdown: markdown, JSON: text})
				case asJSON:
					return printObject(a.out, "record", text)
				}
				if daemonlog.IsTerminal(a.out) {
					markdown = record.Fold(markdown)
				}
				_, err = io.WriteString(a.out, markdown)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	cmd.Flags().StringVar(&workspace, "workspace", "", "`directory` that the agent worked in, to note in the report")
	cmd.Flags().StringVar(&bundle, "bundle", "",
		"write Markdown, JSON and version to this new tar.gz `file`; - means standard output")
	bindRemote(cmd, &remote)
	return cmd
}

const idHelp = `ID is an incident ID from "netwatchd incidents", or "latest".`

// resolveID turns "latest" into the ID of the newest incident and returns any other name as it is.
func resolveID(ctx context.Context, s incidentLister, name string) (string, error) {
	if name != "latest" {
		return name, nil
	}
	found, _, err := s.Incidents(ctx, incident.Filter{Limit: 1})
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New("there are no incidents")
	}
	return found[0].ID, nil
}

func (a *app) bundle(path string, r record.Bundle) (err error) {
	b := build()
	text := fmt.Sprintf("netwatchd %s (revision %s, %s)\n", b.Version, b.Revision, b.GoVersion)
	r.More = map[string]string{"version.txt": text}
	if path == "-" {
		return r.Write(a.out, time.Now())
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(path)
			return
		}
		fmt.Fprintf(a.out, "report of %s written to %s%s\n", r.ID, path, sizeOf(path))
	}()
	return r.Write(f, time.Now())
}
