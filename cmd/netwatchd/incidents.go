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

	"netwatchd/internal/incident"
	"netwatchd/internal/record"
	"netwatchd/internal/screen"
	"netwatchd/internal/store"
)

func (a *app) incidentsCommand() *cobra.Command {
	var asJSON bool
	var f incident.Filter
	cmd := &cobra.Command{
		Use:   "incidents",
		Short: "List what was wrong, the latest first",
		Long: `List what was wrong, the latest first, as it stands in the store; the daemon need not run.

Exit code: 0 listed, 1 the store cannot be read, 3 usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(func(s *store.Store) error {
				found, total, err := s.Incidents(cmd.Context(), f)
				if err != nil {
					return err
				}
				if asJSON {
					if more := total - len(found); more > 0 {
						fmt.Fprintf(a.errs, "netwatchd: and %d more: --limit=0 lists all\n", more)
					}
					return printJSON(a.out, listed(found))
				}
				o := screenOptions(a.out, false)
				o.Now = time.Now()
				return screen.Incidents(a.out, found, total, o)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	cmd.Flags().StringSliceVar(&f.Services, "service", nil, "only those of this `service`; may be repeated")
	cmd.Flags().BoolVar(&f.OpenOnly, "open", false, "only those that are not over")
	cmd.Flags().IntVar(&f.Limit, "limit", 50, "list at most this many; 0 is all")
	cmd.AddCommand(a.noteCommand())
	return cmd
}

// listing is what --json prints: what scripts rely on, and no more; the API has the rest.
type listing struct {
	Incidents []listedIncident `json:"incidents"`
}

type listedIncident struct {
	ID      string          `json:"id"`
	Service string          `json:"service"`
	Causes  []incident.Span `json:"causes"`
	Opened  time.Time       `json:"opened"`
	Closed  *time.Time      `json:"closed"` // null: it is not over
	Notes   []incident.Note `json:"notes"`
}

func listed(all []*incident.Incident) listing {
	l := listing{Incidents: make([]listedIncident, len(all))} // an empty list is [], never null
	for n, i := range all {
		l.Incidents[n] = listedIncident{i.ID, i.Service, append([]incident.Span{}, i.Causes...), i.Opened, i.Closed, append([]incident.Note{}, i.Notes...)}
	}
	return l
}

func (a *app) noteCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "note ID TEXT",
		Short:   "Write a note beside an incident",
		Long:    "Write a note beside an incident. It stands in the record; the daemon may run meanwhile.\n\n" + idIs,
		Example: `  netwatchd incidents note latest "the VPN was reconnecting"`,
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := strings.TrimSpace(strings.Join(args[1:], " "))
			if text == "" || len(text) > noteLimit {
				return fmt.Errorf("TEXT: %d bytes; write something, and less than %d", len(text), noteLimit)
			}
			return a.withStore(func(s *store.Store) error {
				id, err := idOf(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				return s.Note(cmd.Context(), id, text, time.Now())
			})
		},
	}
}

// noteLimit is a screenful: what is longer belongs where it can be edited.
const noteLimit = 4000

func (a *app) explainCommand() *cobra.Command {
	var asJSON bool
	var bundle string
	cmd := &cobra.Command{
		Use:   "explain ID",
		Short: "Write the record of an incident",
		Long: `Write the record of an incident: scope, runtime, the agent's configuration without secrets, symptom, verdict and
evidence, what happened when, backtest, what to do. Markdown, JSON, or both in a file for a bug report.

` + idIs,
		Example: `  netwatchd explain latest
  netwatchd explain 20261123-codex-1 --bundle incident.tar.gz`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(func(s *store.Store) error {
				r, err := recordOf(cmd.Context(), s, args[0])
				switch {
				case err != nil:
					return err
				case bundle != "":
					return a.bundle(bundle, r)
				case asJSON:
					text, err := r.JSON()
					if err != nil {
						return err
					}
					_, err = a.out.Write(text)
					return err
				}
				_, err = io.WriteString(a.out, r.Markdown())
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the record as JSON")
	cmd.Flags().StringVar(&bundle, "bundle", "", "write all of it to this new tar.gz `file`; - is standard output")
	return cmd
}

func recordOf(ctx context.Context, s *store.Store, name string) (*record.Record, error) {
	id, err := idOf(ctx, s, name)
	if err != nil {
		return nil, err
	}
	detail, err := s.Detail(ctx, id)
	if err != nil {
		return nil, err
	}
	return record.Of(detail), nil
}

// idIs says what a command takes for an ID.
const idIs = `ID is one that "netwatchd incidents" lists, or "latest".`

// idOf is the ID of the incident that a person calls so.
func idOf(ctx context.Context, s *store.Store, name string) (string, error) {
	if name != "latest" {
		return name, nil
	}
	found, _, err := s.Incidents(ctx, incident.Filter{Limit: 1})
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New("there has been no incident")
	}
	return found[0].ID, nil
}

func (a *app) bundle(path string, r *record.Record) (err error) {
	b := build()
	more := map[string]string{"version.txt": fmt.Sprintf("netwatchd %s (revision %s, %s)\n", b.Version, b.Revision, b.GoVersion)}
	if path == "-" {
		return r.Bundle(a.out, more, time.Now())
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(path)
		}
	}()
	return r.Bundle(f, more, time.Now())
}

// withStore opens the store of the configuration to read it. What goes wrong from there on is no fault of the usage.
func (a *app) withStore(use func(*store.Store) error) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	s, err := store.OpenToRead(c.Storage.Path)
	if err != nil {
		return failed(err)
	}
	defer s.Close()
	if err := use(s); err != nil {
		return failed(err)
	}
	return nil
}
