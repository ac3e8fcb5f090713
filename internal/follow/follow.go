// Package follow keeps the plan in force: it plans again when the configuration is loaded again, and when the agent or
// its files have changed.
package follow

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"netwatchd/internal/config"
	"netwatchd/internal/panics"
	"netwatchd/internal/plan"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// Options are what a Follower needs.
type Options struct {
	// Adopt puts a plan into force. The watcher's part is in watched. It may be called by a sandbox probe.
	Adopt func(ctx context.Context, next *plan.Plan, watched watch.Plan) error
	Log   *slog.Logger
}

// A Follower has the configuration and the plan in force.
type Follower struct {
	Options
	plan atomic.Pointer[plan.Plan]

	mu   sync.Mutex // one change at a time
	conf *config.Config
}

// New returns a Follower of c. Its first plan is not handed to Adopt.
func New(c *config.Config, o Options) *Follower {
	f := &Follower{Options: o, conf: c}
	f.plan.Store(plan.Of(c))
	return f
}

// Plan returns the plan in force.
func (f *Follower) Plan() *plan.Plan { return f.plan.Load() }

// Watched returns the watcher's part of the plan in force.
func (f *Follower) Watched() watch.Plan { return f.watched(f.Plan()) }

// watched returns the watcher's part of p. Its sandbox probes first look whether the agent's files have changed: the
// agent reads them when it starts its sandbox, so what they show is to be compared with what the files allow by then.
// Without that, a sandbox that its user has just opened was `sandbox_open` until the next look.
func (f *Follower) watched(p *plan.Plan) watch.Plan {
	watched := p.Plan
	watched.Services = slices.Clone(watched.Services)
	for i := range watched.Services {
		s := &watched.Services[i]
		if s.SandboxProbes == nil {
			continue
		}
		probes := *s.SandboxProbes
		run := probes.Run
		probes.Run = func(ctx context.Context, limit time.Duration) ([]probe.Result, bool) {
			f.look(ctx)
			return run(ctx, limit)
		}
		s.SandboxProbes = &probes
	}
	return watched
}

// lookEvery is how soon a changed file of the agent is noticed. Reading them takes a millisecond.
const lookEvery = 30 * time.Second

// Run plans again when an agent is installed or when one of its files has changed, until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (f *Follower) look(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := plan.Of(f.conf)
	if next.Same(f.Plan()) {
		return
	}
	if err := f.adopt(ctx, next); err != nil {
		if ctx.Err() == nil {
			f.Log.Error("the agent's changed files were not applied", "error", err)
		}
		return
	}
	f.Log.Info("the agent or its files changed", "endpoints", next.Endpoints())
	f.LogNotes()
}

func (f *Follower) adopt(ctx context.Context, next *plan.Plan) error {
	if err := f.Adopt(ctx, next, f.watched(next)); err != nil {
		return err
	}
	f.plan.Store(next)
	return nil
}

// Reload puts the configuration into force that load returns. If it cannot, it returns an error and changes nothing.
func (f *Follower) Reload(ctx context.Context, load func() (*config.Config, error)) (*config.Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var c *config.Config
	var next *plan.Plan
	err := panics.Run(panics.Reload, func() (err error) { // it also reads the agent's files
		if c, err = load(); err == nil {
			next = plan.Of(c)
		}
		return err
	})
	if err == nil {
		err = needsRestart(f.conf, c)
	}
	if err == nil {
		err = f.adopt(ctx, next)
	}
	if err != nil {
		return nil, err
	}
	f.conf = c
	return c, nil
}

// needsRestart returns an error if a setting changed that only a restart can apply.
func needsRestart(was, is *config.Config) error {
	for _, fixed := range []struct {
		key     string
		changed bool
	}{
		{"web", was.Web.ConfigFile != is.Web.ConfigFile || !slices.Equal(was.Web.Listen, is.Web.Listen) ||
			!slices.Equal(was.Web.Hosts, is.Web.Hosts) || was.Web.TokenFile != is.Web.TokenFile},
		{"status_file", was.StatusFile != is.StatusFile},
		{"storage.path", was.Storage.Path != is.Storage.Path},
		{"log", was.Log != is.Log},
		{"metrics", was.Metrics != is.Metrics},
		{"push", !reflect.DeepEqual(was.Push, is.Push)},
	} {
		if fixed.changed {
			return errors.New(fixed.key + " changed: restart netwatchd to apply it")
		}
	}
	return nil
}

// LogNotes logs what the plan leaves out although a user may expect it.
func (f *Follower) LogNotes() {
	for _, note := range f.Plan().Notes {
		f.Log.Info(note)
	}
}
