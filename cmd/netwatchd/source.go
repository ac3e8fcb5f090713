package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"netwatchd/internal/client"
	"netwatchd/internal/config"
	"netwatchd/internal/incident"
	"netwatchd/internal/record"
	"netwatchd/internal/statusfile"
	"netwatchd/internal/store"
	"netwatchd/internal/strictyaml"
	"netwatchd/internal/watch"
)

// A source is where commands read incidents: the API of a running daemon, or a store.
type source interface {
	incidentLister
	// Record returns the record of an incident in both formats, or [incident.ErrNotFound].
	Record(ctx context.Context, id string) (markdown string, asJSON []byte, err error)
}

type incidentLister interface {
	Incidents(context.Context, incident.Filter) (found []*incident.Incident, total int, err error)
}

// An openStore is a store as a source.
type openStore struct{ *store.Store }

func (s openStore) Record(ctx context.Context, id string) (markdown string, asJSON []byte, err error) {
	detail, err := s.Detail(ctx, id)
	if err != nil {
		return "", nil, err
	}
	r := record.Of(detail)
	asJSON, err = r.JSON()
	return r.Markdown(), asJSON, err
}

// withSource calls f with the running daemon if there is one, otherwise with the store, and with the names of the
// configured services. An error from then on is not a usage error unless f says so.
func (a *app) withSource(ctx context.Context, remote *client.Options, f func(s source, services []string) error) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	if remote.URL != "" && a.overrides.Given("storage.path") {
		return errors.New("a URL of a daemon (--url or NETWATCHD_URL) and --storage.path are both set: keep one")
	}
	daemon, status, unreachable := a.daemon(ctx, c, remote)
	switch {
	case unreachable == nil:
		for _, trouble := range status.Trouble {
			fmt.Fprintf(a.errs, "netwatchd: %s\n", trouble)
		}
		return notUsage(f(daemon, serviceNames(status)))
	case remote.URL != "":
		return notUsage(unreachable)
	}
	s, err := a.openStore(c, unreachable)
	if err != nil {
		return failed(err)
	}
	defer s.Close()
	return notUsage(f(openStore{s}, names(c)))
}

// notUsage makes err end with exitFault, unless it has its own code.
func notUsage(err error) error {
	if _, ok := errors.AsType[*exitError](err); ok || err == nil {
		return err
	}
	return failed(err)
}

// withStore opens the store for reading and calls f: that of the running daemon if there is one, otherwise the
// configured one. An error from then on is not a usage error.
func (a *app) withStore(ctx context.Context, f func(*store.Store) error) error {
	return a.withStorage(ctx, func(dir string) error {
		s, err := store.OpenToRead(dir)
		if err != nil {
			return err
		}
		defer s.Close()
		return f(s)
	})
}

// withStorage calls f with the directory of that store.
func (a *app) withStorage(ctx context.Context, f func(dir string) error) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	remote := &client.Options{URL: os.Getenv("NETWATCHD_URL")}
	if remote.URL != "" && !a.overrides.Given("storage.path") && !isLocal(remote.URL) {
		return fmt.Errorf("this command needs the files of the daemon at %s: run it on that host", remote.URL)
	}
	_, status, unreachable := a.daemon(ctx, c, remote)
	if unreachable == nil && status.Storage != "" {
		if !hasStore(status.Storage) {
			return failed(fmt.Errorf("the daemon keeps its store in %s, and there is none here: "+
				"if it runs in a container, run this command there", status.Storage))
		}
		return notUsage(f(status.Storage))
	}
	dir, err := a.storage(c, unreachable)
	if err != nil {
		return failed(err)
	}
	return notUsage(f(dir))
}

// storedWithin is how long an incident that the daemon already lists may be missing in its store: the daemon writes
// every 100 ms, and a busy disk takes its time.
const storedWithin = time.Second

// addNote adds a note to an incident, also to one that the daemon is about to store.
func addNote(ctx context.Context, s *store.Store, id, text string) error {
	late, cancel := context.WithTimeout(ctx, storedWithin)
	defer cancel()
	for {
		err := s.Note(ctx, id, text, time.Now())
		if !errors.Is(err, incident.ErrNotFound) {
			return err
		}
		select {
		case <-time.After(storedWithin / 10):
		case <-late.Done():
			return err
		}
	}
}

// isLocal reports whether a URL is on loopback.
func isLocal(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	address, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && address.IsLoopback()
}

// errNotAsked means that the command line names a store, so that no daemon is asked.
var errNotAsked = errors.New("not asked, because --storage.path is set")

// daemon returns the running daemon and its status.
func (a *app) daemon(ctx context.Context, c *config.Config, o *client.Options) (*client.Client, *watch.Status, error) {
	if a.overrides.Given("storage.path") {
		return nil, nil, errNotAsked
	}
	if a.overrides.Given("web.token-file") { // a token of this host's configuration is not for another host
		o.TokenFile = c.Web.TokenFile
	}
	daemon, err := newClient(c, *o)
	if err != nil && o.URL != "" {
		return nil, nil, &exitError{exitUsage, err}
	}
	if err != nil {
		return nil, nil, err
	}
	status, err := daemon.Status(ctx)
	if err != nil {
		return nil, nil, daemon.Unavailable(err)
	}
	return daemon, status, nil
}

func (a *app) openStore(c *config.Config, unreachable error) (*store.Store, error) {
	dir, err := a.storage(c, unreachable)
	if err != nil {
		return nil, err
	}
	s, err := store.OpenToRead(dir)
	if err != nil && !errors.Is(unreachable, errNotAsked) {
		return nil, fmt.Errorf("%w\n%w", unreachable, err)
	}
	return s, err
}

// aliveWithin is the age of a status file up to which its daemon is running: it is written every 15 seconds.
const aliveWithin = time.Minute

// storage returns the directory of the store for a daemon that did not respond, for the reason unreachable: the one
// that the status file of a running daemon names; otherwise the configured one; if there is no store in it, the one
// of a daemon that was killed.
func (a *app) storage(c *config.Config, unreachable error) (string, error) {
	if errors.Is(unreachable, errNotAsked) {
		return c.Storage.Path, nil
	}
	dirs := []string{c.Storage.Path}
	status, age, err := statusfile.Read(c.StatusFile) // before those of other daemons
	if err != nil {
		status, age, err = statusfile.Latest(c.StatusFiles()...)
	}
	if err == nil && status.Storage != "" {
		if age <= aliveWithin {
			return status.Storage, nil
		}
		dirs = append(dirs, status.Storage)
	}
	for _, dir := range dirs {
		if hasStore(dir) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%w\nthere is no store in %s\nstart the daemon with 'netwatchd run', "+
		"or name the directory of a store with --storage.path", unreachable, strings.Join(slices.Compact(dirs), " or "))
}

// hasStore reports whether there is a store in dir, even if this user cannot read it.
func hasStore(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, store.File))
	return !errors.Is(err, fs.ErrNotExist)
}

func serviceNames(status *watch.Status) []string {
	all := make([]string, len(status.Services))
	for i, s := range status.Services {
		all[i] = s.Service
	}
	return all
}

// checkServices rejects the name of a service that is neither configured nor has incidents: an empty list would look
// as if all were well.
func checkServices(ctx context.Context, s source, asked, configured []string) error {
	for _, name := range asked {
		if slices.Contains(configured, name) {
			continue
		}
		_, total, err := s.Incidents(ctx, incident.Filter{Services: []string{name}, Limit: 1})
		if err != nil {
			return err
		}
		if total == 0 {
			return &exitError{exitUsage, fmt.Errorf("--service: %w", strictyaml.OneOf(configured...)(name))}
		}
	}
	return nil
}

// bindRemote adds the flags that name another daemon.
func bindRemote(cmd *cobra.Command, o *client.Options) {
	cmd.Flags().StringVar(&o.URL, "url", os.Getenv("NETWATCHD_URL"), "`URL` of the daemon, for example "+
		"http://127.0.0.1:19405 (default $NETWATCHD_URL, then the configured listen address)")
	cmd.Flags().StringVar(&o.User, "user", "",
		"user `name` for basic auth; the password is $NETWATCHD_PASSWORD, or is prompted for")
	cmd.Flags().StringVar(&o.CAFile, "ca-file", "",
		"PEM `file` with certificate authorities to trust in addition to the system's")
}

// newClient returns a client for the daemon at o.URL or, if that is empty, at the configured listen address.
func newClient(c *config.Config, o client.Options) (*client.Client, error) {
	if o.URL == "" && len(c.Web.Listen) > 0 {
		here := client.LocalOptions(c.Web.Listen[0], c.Web.ConfigFile)
		o.URL, o.Certificate, o.TokenFile = here.URL, here.Certificate, c.TokenFile()
	}
	o.Password = os.Getenv("NETWATCHD_PASSWORD")
	if o.User != "" && o.Password == "" && term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprintf(os.Stderr, "password for %s: ", o.User)
		typed, err := term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return nil, failed(err)
		}
		o.Password = string(typed)
	}
	return client.New(o)
}
